"""A training set that moves through an endless list, a little every epoch, and can be resumed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from monai.data.utils import set_rnd
from torch.utils.data import Dataset, Sampler

from bundle.errors import InputError

__all__ = ["EndlessItems", "MovingWindow", "WindowSampler"]


class EndlessItems(Protocol):
    """Items by number, from 0 on."""

    def __getitem__(self, number: int) -> dict[str, Any]: ...


class MovingWindow(Dataset):
    """Holds a window of an endless list in memory; in every epoch its oldest items make room for the next.

    MONAI's SmartCacheDataset does the same, but what it holds depends on how often it was updated since it was built:
    a resumed run would begin with the first items again, and a shuffled list needs an end. Its random state also hides
    that of its transforms from :class:`bundle.handlers.EpochSeeder`. Here epoch e (from 1) holds the items
    (e - 1) * replaced to (e - 1) * replaced + held, whatever came before, and items are functions of their numbers; so
    a killed run goes on as it would have. :class:`WindowSampler` moves the window when an epoch starts.

    Items of the next epoch may be made in a thread while this one is trained on. That cannot change them, since
    ``make`` uses no global generator.

    Args:
        data: the items.
        make: from an item to what is held of it, without randomness of its own.
        transform: from what is held to a training item, random, at every use; must not change what is held.
        held: number of items in the window.
        replaced: number of items that an epoch replaces; 0 keeps the first ones for good.
        repeats: times that each held item occurs in an epoch.
        ahead: make the next epoch's items in a thread. For training on a GPU: on the CPU both want the same cores, and
            their pools of threads hinder each other. Not together with data-loading workers, which are copies of this
            process and would copy a lock that the thread holds.
        epochs: last epoch, after which nothing is made ahead; None if it is not known.

    Raises:
        InputError: when a number is impossible.
    """

    def __init__(
        self,
        data: EndlessItems,
        make: Callable[[dict[str, Any]], dict[str, Any]],
        transform: Callable[[dict[str, Any]], dict[str, Any]],
        held: int,
        replaced: int,
        repeats: int = 1,
        ahead: bool = True,
        epochs: int | None = None,
    ) -> None:
        if held < 1 or repeats < 1 or not 0 <= replaced <= held:
            raise InputError(
                "cached_items",
                f"is {held}, replaced_per_epoch {replaced} and cases_repeated {repeats}.",
                "Hold and repeat at least one item, and replace none to all of them.",
            )
        self.data = data
        self.make = make
        self.transform = transform
        self.held, self.replaced, self.repeats = int(held), int(replaced), int(repeats)
        self.ahead = ahead
        self.epochs = epochs
        self._window: dict[int, tuple[int, dict[str, Any]]] = {}  # place: number of the item, what is held of it
        self._maker: _Maker | None = None

    def __len__(self) -> int:
        return self.held * self.repeats

    def __getitem__(self, index: int) -> dict[str, Any]:
        place = index % self.held
        if place not in self._window:
            self.move(1)
        return self.transform(self._window[place][1])

    def set_random_state(self, seed: int | None = None, state: Any = None) -> MovingWindow:
        """Seeds what is random at every use; the items have seeds of their own."""
        set_rnd(self.transform, seed=0 if seed is None else seed)
        return self

    def numbers(self, epoch: int, places: Sequence[int] | None = None) -> dict[int, int]:
        """The numbers of the items that an epoch holds, by their places in the window.

        Args:
            epoch: from 1.
            places: of the window; all if None.
        """
        start = (epoch - 1) * self.replaced
        places = range(self.held) if places is None else places
        return {place: start + (place - start) % self.held for place in places}

    def move(self, epoch: int, places: Sequence[int] | None = None) -> None:
        """Brings the window to an epoch.

        Args:
            epoch: from 1.
            places: those that this process uses; all if None.

        Raises:
            InputError: what making an item raised.
        """
        made = {} if self._maker is None else self._maker.result()
        wanted = self.numbers(epoch, places)
        made = {**dict(self._window.values()), **made}
        missing = sorted(number for number in wanted.values() if number not in made)
        made.update({number: self.make(self.data[number]) for number in missing})
        self._window = {place: (number, made[number]) for place, number in wanted.items()}
        self._maker = None
        if self.ahead and self.replaced and (self.epochs is None or epoch < self.epochs):
            following = sorted(set(self.numbers(epoch + 1, places).values()) - set(wanted.values()))
            self._maker = _Maker(lambda number: self.make(self.data[number]), following)
            self._maker.start()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_maker": None}


class WindowSampler(Sampler[int]):
    """Moves a :class:`MovingWindow` to the epoch and draws the order of its items, from the seed and the epoch alone.

    :class:`bundle.handlers.EpochSeeder` calls ``set_epoch``, as of any sampler. Of several processes, each has a share
    of the window's places for itself, and makes no other items.

    Args:
        dataset: the window.
        seed: seed of the order.
        rank: number of this process.
        processes: how many there are; as many as torch.distributed knows if None.

    Raises:
        InputError: when there are more processes than places.
    """

    def __init__(self, dataset: MovingWindow, seed: int = 0, rank: int = 0, processes: int | None = None) -> None:
        if processes is None:
            distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
            processes = torch.distributed.get_world_size() if distributed else 1
        if processes > dataset.held:
            raise InputError("cached_items", f"is {dataset.held} for {processes} processes.", "Hold one for each.")
        self.dataset = dataset
        self.seed = int(seed)
        self.rank = int(rank)
        count = dataset.held // processes  # the same for all, or they would wait for each other
        self.places = list(range(self.rank, processes * count, processes))
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Moves the window to an epoch, from 1."""
        self.epoch = int(epoch)
        self.dataset.move(self.epoch, self.places)

    def __len__(self) -> int:
        return len(self.places) * self.dataset.repeats

    def __iter__(self) -> Iterator[int]:
        if self.epoch < 1:
            self.set_epoch(1)
        rng = np.random.default_rng([self.seed % 2**63, self.epoch, self.rank])
        indices = np.add.outer(np.arange(self.dataset.repeats) * self.dataset.held, self.places).ravel()
        return iter(rng.permutation(indices).tolist())


class _Maker(threading.Thread):
    """Makes items one by one until all are made or the program ends; what fails is left to be made, and told, later."""

    def __init__(self, make: Callable[[int], dict[str, Any]], numbers: Sequence[int]) -> None:
        super().__init__(name="items of the next epoch")
        self.make = make
        self.numbers = list(numbers)
        self.made: dict[int, dict[str, Any]] = {}

    def run(self) -> None:
        for number in self.numbers:
            if not threading.main_thread().is_alive():
                return
            try:
                self.made[number] = self.make(number)
            except Exception:
                return

    def result(self) -> dict[int, dict[str, Any]]:
        """What was made, when all of it is."""
        self.join()
        return self.made
