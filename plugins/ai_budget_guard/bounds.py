"""What a request can cost at most, before it is sent."""

from collections.abc import Iterable

from aigateway.models import Model

__all__ = ["largest_cost", "output_limit"]


def output_limit(model: Model, max_tokens: int | None, assumed_tokens: int) -> int:
    """Return how many tokens *model* can answer with, for one choice.

    That is the limit the request sets, but no more than the model can; *assumed_tokens* where neither is
    known.
    """
    known = [limit for limit in (max_tokens, model.max_output_tokens) if limit is not None]
    return min(known, default=assumed_tokens)


def largest_cost(
    models: Iterable[Model],
    *,
    prompt_tokens: int | None,
    margin_percent: int,
    max_tokens: int | None,
    choices: int,
    assumed_tokens: int,
) -> int:
    """Return the most that a request can cost, in nano-USD, whichever of *models* answers it.

    The estimate of the input is raised by *margin_percent*, rounded up, but no model takes more than its
    context window; that much it is when nobody can say (`None`). All of it is taken at the dearest price
    there is for input: nobody knows yet what a cache has of it, and writing into one costs more than reading.
    Each of the *choices* that a request asks for is an answer of its own.
    """
    costs = []
    for model in models:
        prices = model.prices
        input_tokens = model.context_window_tokens
        if prompt_tokens is not None:
            input_tokens = min(input_tokens, -(-prompt_tokens * (100 + margin_percent) // 100))
        output_tokens = choices * output_limit(model, max_tokens, assumed_tokens)
        dearest = max(prices.input, prices.cached_input, prices.cache_write)
        costs.append(input_tokens * dearest + output_tokens * prices.output)
    return max(costs, default=0)
