"""`python -m tests.conformance [PART-OF-A-NAME]`: run the scenarios on all hosts and print the table."""

import sys
import time

from .hosts import SCENARIOS, Hosts


def main(part: str) -> int:
    """Print one line per scenario and the figures at the end; returns the number that differ."""
    chosen = sorted(
        (each for each in SCENARIOS if any(word in each.name for word in part.split(","))),
        key=lambda each: each.setup,
    )
    hosts = Hosts()
    seconds = dict.fromkeys(hosts.names, 0.0)
    different = 0
    try:
        for scenario in chosen:
            observations = {}
            for host in hosts.names:
                started = time.monotonic()
                observations[host] = hosts.observe(scenario, host)
                seconds[host] += time.monotonic() - started
            real = observations["envoy"]
            verdicts = {host: seen.differences(real) for host, seen in observations.items()}
            equal = not any(verdicts.values())
            different += not equal
            marks = "  ".join(
                f"{host} {'differs' if verdicts[host] else 'equal'}" for host in hosts.names[:-1]
            )
            print(f"{'ok ' if equal else 'BAD'}  {scenario.name:<70} {marks}")
            for host, verdict in verdicts.items():
                for difference in verdict:
                    print(f"     {host} and envoy differ in {difference}")
    finally:
        hosts.stop()
    times = ", ".join(f"{host} {spent:.1f} s" for host, spent in seconds.items())
    print(f"{len(chosen) - different} of {len(chosen)} scenarios equal on {len(hosts.names)} hosts ({times})")
    return different


if __name__ == "__main__":
    sys.exit(1 if main(sys.argv[1] if len(sys.argv) > 1 else "") else 0)
