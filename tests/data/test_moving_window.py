from __future__ import annotations

import threading

import numpy as np
import pytest
from monai.transforms import Randomizable, Transform

from bundle.data.moving_window import MovingWindow, WindowSampler
from bundle.errors import InputError


class Numbers:
    def __getitem__(self, number):
        return {"number": number}


class Noise(Randomizable, Transform):
    def __call__(self, data):
        return {**data, "noise": self.R.rand()}


class Counted:
    """Makes items and remembers which, and in which thread."""

    def __init__(self):
        self.made, self.threads = [], set()

    def __call__(self, item):
        self.made.append(item["number"])
        self.threads.add(threading.current_thread().name)
        return item


def window(held=5, replaced=2, **options):
    make = Counted()
    return MovingWindow(Numbers(), make, Noise(), held, replaced, **options), make


def held(dataset):
    return sorted(dataset[i]["number"] for i in range(dataset.held))


@pytest.mark.parametrize("ahead", [False, True])
def test_contents_follow_from_the_epoch(ahead):
    straight, make = window(ahead=ahead)
    for epoch in range(1, 5):
        straight.move(epoch)
        assert held(straight) == list(range(2 * (epoch - 1), 2 * (epoch - 1) + 5))
    resumed, _ = window(ahead=ahead)
    resumed.move(4)
    assert [resumed[i]["number"] for i in range(5)] == [straight[i]["number"] for i in range(5)]
    straight.move(5)
    assert make.made[:13] == list(range(13))  # each once, and in order
    assert (len(make.threads) > 1) == ahead


def test_nothing_is_made_ahead_of_the_last_epoch():
    dataset, make = window(epochs=2)
    dataset.move(1)
    dataset.move(2)
    assert dataset._maker is None
    assert len(make.made) == 7


def test_failures_in_the_thread_are_raised_by_the_move():
    class Broken(Counted):
        def __call__(self, item):
            if item["number"] == 6:
                raise InputError("item 6", "is broken.", "Mend it.")
            return super().__call__(item)

    dataset = MovingWindow(Numbers(), Broken(), Noise(), 5, 2)
    dataset.move(1)
    with pytest.raises(InputError, match="item 6"):
        dataset.move(2)


def test_repeats_and_random_states():
    dataset, _ = window(held=3, replaced=1, repeats=4)
    assert len(dataset) == 12
    dataset.set_random_state(5)
    first = [dataset[i] for i in range(12)]
    assert len({item["noise"] for item in first}) == 12
    assert [item["number"] for item in first] == [0, 1, 2] * 4
    dataset.set_random_state(5)
    assert [dataset[i] for i in range(12)] == first


def test_sampler_orders_by_seed_and_epoch_and_shares_places():
    dataset, make = window(held=7, replaced=3, repeats=2, ahead=False)
    samplers = [WindowSampler(dataset, 4, rank, 2) for rank in range(2)]
    orders = []
    for rank, sampler in enumerate(samplers):
        sampler.set_epoch(3)
        orders.append(list(sampler))
        assert len(orders[-1]) == len(sampler) == 6
        assert {i % 7 for i in orders[-1]} == set(range(rank, 6, 2))
        assert len(set(orders[-1])) == 6
    assert len(make.made) == 6  # the seventh place belongs to nobody, so that both have as many
    sampler.set_epoch(4)
    assert list(sampler) != orders[1]
    sampler.set_epoch(3)
    assert list(sampler) == orders[1]


@pytest.mark.parametrize("numbers", [(0, 0, 1), (2, 3, 1), (2, -1, 1), (2, 1, 0)])
def test_impossible_numbers_are_refused(numbers):
    with pytest.raises(InputError, match="cached_items"):
        MovingWindow(Numbers(), Counted(), Noise(), *numbers)
    with pytest.raises(InputError, match="3 processes"):
        WindowSampler(window(held=2)[0], processes=3)


def test_numbers_keep_their_places():
    dataset, _ = window(held=4, replaced=3)
    before, after = dataset.numbers(1), dataset.numbers(2)
    assert before == {0: 0, 1: 1, 2: 2, 3: 3}
    assert after == {0: 4, 1: 5, 2: 6, 3: 3}
    assert np.all([number % 4 == place for place, number in dataset.numbers(9).items()])
