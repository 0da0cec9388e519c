"""The most a request can cost is never less than what it does cost."""

from hypothesis import given
from hypothesis import strategies as st

from ai_budget_guard.bounds import largest_cost, output_limit
from aigateway.models import Model, Prices
from aigateway.usage import Usage

prices = st.integers(0, 100_000)
tokens = st.integers(0, 1_000_000)


def _model(prices: Prices, max_output_tokens: int | None = None) -> Model:
    return Model(
        name="m",
        provider="p",
        cluster="p",
        upstream_name="m",
        prices=prices,
        quality=0.5,
        context_window_tokens=10**9,
        max_output_tokens=max_output_tokens,
    )


@given(
    st.lists(
        st.builds(Prices, input=prices, output=prices, cached_input=prices, cache_write=prices), min_size=1
    ),
    tokens,
    tokens,
    st.integers(1, 4),
    st.data(),
)
def test_no_usage_within_the_limits_costs_more(
    price_list: list[Prices], prompt_tokens: int, max_tokens: int, choices: int, data: st.DataObject
) -> None:
    models = [_model(price) for price in price_list]
    cached = data.draw(st.integers(0, prompt_tokens))
    written = data.draw(st.integers(0, prompt_tokens - cached))
    usage = Usage(
        input_tokens=prompt_tokens,
        output_tokens=data.draw(st.integers(0, max_tokens * choices)),
        cached_input_tokens=cached,
        cache_write_tokens=written,
    )

    bound = largest_cost(
        models,
        prompt_tokens=prompt_tokens,
        margin_percent=0,
        max_tokens=max_tokens,
        choices=choices,
        assumed_tokens=1,
    )

    assert all(model.prices.cost(usage) <= bound for model in models)


def test_the_bound_is_the_cost_when_everything_is_used() -> None:
    model = _model(Prices(input=400, output=1600, cached_input=100, cache_write=400))

    bound = largest_cost(
        [model], prompt_tokens=1_000, margin_percent=0, max_tokens=500, choices=1, assumed_tokens=9
    )

    assert bound == model.prices.cost(Usage(input_tokens=1_000, output_tokens=500))


def test_the_margin_is_rounded_up() -> None:
    model = _model(Prices(input=1, output=0, cached_input=0, cache_write=0))

    bound = largest_cost(
        [model], prompt_tokens=11, margin_percent=10, max_tokens=0, choices=1, assumed_tokens=0
    )

    assert bound == 13


def test_output_is_limited_by_request_and_model() -> None:
    prices = Prices(input=1, output=1, cached_input=1, cache_write=1)

    assert output_limit(_model(prices, 100), 500, 7) == 100
    assert output_limit(_model(prices, 100), 50, 7) == 50
    assert output_limit(_model(prices), 50, 7) == 50
    assert output_limit(_model(prices), None, 7) == 7
