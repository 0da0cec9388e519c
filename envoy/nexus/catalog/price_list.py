"""The models of the PyPI package `genai-prices`, whose data is inside the package: no network is needed."""

import difflib
from collections.abc import Collection, Iterable, Sequence

from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelInfo, Provider

from ..reading import DescriptionError
from .table import matches

__all__ = ["PriceList"]


class PriceList:
    """The models of a price list, by `provider/name`."""

    def __init__(self, providers: Sequence[Provider]) -> None:
        self._providers = list(providers)
        self._models = {
            f"{provider.id}/{model.id}": model for provider in providers for model in provider.models
        }

    @classmethod
    def packaged(cls) -> "PriceList":
        """Return the list as it came with the package."""
        return cls(get_snapshot().providers)

    @property
    def names(self) -> Collection[str]:
        """All models, as `provider/name`."""
        return self._models.keys()

    def find(self, name: str) -> tuple[str, ModelInfo] | None:
        """Return what the list calls the model *name*, and the model.

        It knows models by more names than it gives them: `gpt-4.1-mini-2025-04-14` is `gpt-4.1-mini`, and
        what one provider resells may be listed with another.
        """
        if name in self._models:
            return name, self._models[name]
        provider_id, _, model_id = name.partition("/")
        for provider in self._providers:
            if provider.id == provider_id and model_id:
                model = provider.find_model(model_id, all_providers=self._providers)
                return None if model is None else (f"{provider_id}/{model.id}", model)
        return None

    def select(self, wanted: Iterable[str]) -> dict[str, bool]:
        """Return the models that are *wanted*, and of each whether it was named itself.

        A provider, or a pattern with `*`, stands for all of its models, in alphabetical order. Raises
        DescriptionError with everything that stands for no model.
        """
        selected: dict[str, bool] = {}
        problems = []
        for text in wanted:
            pattern = text if "/" in text else f"{text}/*"
            if "*" not in pattern and self.find(pattern) is not None:
                selected[pattern] = True
                continue
            found = sorted(name for name in self._models if matches(pattern, name))
            if not found:
                problems.append(f"{text}: expected a model or provider of genai-prices{self._nearest(text)}")
            for name in found:
                selected.setdefault(name, False)
        if problems:
            raise DescriptionError(problems)
        return selected

    def _nearest(self, text: str) -> str:
        """Offer what *text* is most likely a slip of, or the providers that there are."""
        providers = [provider.id for provider in self._providers]
        names = self._models if "/" in text else providers
        close = difflib.get_close_matches(text, names, n=3, cutoff=0.75)
        return (
            f", did you mean {' or '.join(close)}?" if close else f"; its providers: {', '.join(providers)}"
        )
