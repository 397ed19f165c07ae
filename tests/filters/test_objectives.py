"""Objectives as arithmetic on answers made by hand, and what ascents on them lead to."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from interpret.datasets import sample_picture
from interpret.errors import BadInput
from interpret.filters import Drawing, FilterParams, draw
from interpret.filters.objectives import (
    Answers,
    Objective,
    between,
    caricature,
    channel,
    class_score,
    deep_dream,
    direction,
    diverse,
    diversity,
    inversion,
    neuron,
)
from interpret.jobs import complete
from interpret.model import LoadedModel
from tests.conftest import noise_picture


def answers(numbers: tuple[int, ...] = (0, 1, 2, 3), seed: int = 0) -> Answers:
    """Of two layers "a" and "b" to four pictures."""
    generator = torch.Generator().manual_seed(seed)
    maps = {name: torch.randn(len(numbers), 5, 3, 4, generator=generator, dtype=torch.float64) for name in "ab"}
    scores = torch.randn(len(numbers), 7, generator=generator, dtype=torch.float64)
    return Answers(torch.tensor(numbers), scores, maps)


def drawn(model: LoadedModel, objective: Objective, count: int = 1, **params: float) -> Drawing:
    return complete(draw(model, objective, count, FilterParams(**params)))  # type: ignore[arg-type]


# ---- algebra ------------------------------------------------------------------------------------------------------


def test_objectives_add_scale_and_negate() -> None:
    a = answers()
    one, other = channel("a", 1), class_score(3)
    x, y = a["a"][:, 1].mean((1, 2)), a.scores[:, 3]  # type: ignore[index]
    for made, expected in [
        (one + other, x + y),
        (one - other, x - y),
        (one * 3, 3 * x),
        (0.5 * one, 0.5 * x),
        (-one, -x),
        (one + 2 * other - 0.25 * (one - other), x + 2 * y - 0.25 * (x - y)),
    ]:
        torch.testing.assert_close(made.value(a), expected)
    both = one - 2 * (channel("b", 0) + other)
    assert both.layers == {"a", "b"} and both.scores and both.group == 1
    assert not (one + channel("b", 0)).scores and other.layers == frozenset()
    assert (one + 2 * other).title == "channel 1 of a + 2 (class 3)"
    assert (-one - other).title == "-(channel 1 of a) - class 3"


def test_groups_that_divide_each_other_are_drawn_together() -> None:
    two, three, four = (diversity("a", group) for group in (2, 3, 4))
    assert (channel("a", 0) + two).group == (two - channel("a", 0)).group == (2 * two).group == (-two).group == 2
    assert (two + four).group == (four - two).group == 4
    with pytest.raises(BadInput, match="Groups of 2 and of 3 pictures cannot be drawn together"):
        two + three
    with pytest.raises(BadInput, match="a group needs two or more; found 1"):
        diversity("a", 1)


# ---- one by one ---------------------------------------------------------------------------------------------------

TURNED = (3, 0, 2, 0, 1)
WANTED = [4, 0, 1, 2]


def test_one_number_is_for_all_and_several_are_one_for_each_picture() -> None:
    """In whatever order, and however often, pictures come by."""
    a = answers(TURNED)
    assert a.scores is not None
    rows = range(len(TURNED))
    each = torch.stack([a["a"][row, WANTED[number]] for row, number in enumerate(TURNED)])
    torch.testing.assert_close(channel("a", 2).value(a), a["a"][:, 2].mean((1, 2)))
    torch.testing.assert_close(channel("a", WANTED).value(a), each.mean((1, 2)))
    torch.testing.assert_close(neuron("a", 2).value(a), a["a"][:, 2, 1, 2])
    torch.testing.assert_close(neuron("a", 2, 0, 3).value(a), a["a"][:, 2, 0, 3])
    torch.testing.assert_close(neuron("a", WANTED).value(a), each[:, 1, 2])
    torch.testing.assert_close(neuron("a", WANTED, 2, 0).value(a), each[:, 2, 0])
    torch.testing.assert_close(class_score(6).value(a), a.scores[:, 6])
    expected = torch.stack([a.scores[row, WANTED[TURNED[row]]] for row in rows])
    torch.testing.assert_close(class_score(WANTED).value(a), expected)


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0])
def test_a_direction_is_dot_times_cosine_to_a_power(power: float) -> None:
    a = answers(TURNED)
    vectors = torch.randn(4, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for given, each in ((vectors[0], [vectors[0]] * 5), (vectors, [vectors[number] for number in TURNED])):
        found = direction("a", given, power).value(a)
        for row, wanted in enumerate(each):
            places = a["a"][row].flatten(1).T.numpy()
            dots = places @ wanted.numpy()
            cosines = dots / np.linalg.norm(places, axis=1) / float(wanted.norm())
            assert float(found[row]) == pytest.approx(np.mean(dots * np.maximum(0.1, cosines) ** power))


def test_a_direction_along_one_channel_is_that_channel() -> None:
    a = answers()
    torch.testing.assert_close(direction("a", torch.eye(5)[3], 0).value(a), channel("a", 3).value(a))


def test_deep_dream_is_the_mean_square() -> None:
    a = answers()
    expected = torch.tensor([float((a["b"][row] ** 2).sum() / 60) for row in range(4)], dtype=torch.float64)
    torch.testing.assert_close(deep_dream("b").value(a), expected)


def test_between_two_objectives() -> None:
    a = answers((2, 0, 1))
    one, other = channel("a", 0), class_score(1)
    found = between(one, other, (0, 1, 0.5)).value(a)
    x, y = one.value(a), other.value(a)
    torch.testing.assert_close(found, torch.stack([(x[0] + y[0]) / 2, x[1], y[2]]))
    made = between(one, channel("b", 2), (0, 1, 0.5))
    assert made.layers == {"a", "b"} and not made.scores and between(one, other, (0,)).scores


# ---- in groups ----------------------------------------------------------------------------------------------------


def of_maps(maps: torch.Tensor) -> Answers:
    return Answers(torch.arange(len(maps)), None, {"a": maps})


def test_pictures_alike_have_diversity_minus_one_and_those_with_nothing_in_common_zero() -> None:
    same = answers()["a"][:1].expand(4, -1, -1, -1)
    scales = torch.tensor([1.0, 2.0, 0.1, 5.0]).view(4, 1, 1, 1)
    for group in (2, 4):
        found = diversity("a", group).value(of_maps(same * scales))
        torch.testing.assert_close(found, torch.full((4,), -1.0).double())
    apart = torch.zeros(4, 5, 3, 4)
    for picture in range(4):
        apart[picture, picture] = 1  # one channel each: their Gram matrices are orthogonal
    assert not diversity("a", 4).value(of_maps(apart)).any()
    pairs = apart[[0, 0, 1, 2]]
    assert diversity("a", 2).value(of_maps(pairs)).tolist() == [-1, -1, 0, 0]
    torch.testing.assert_close(diversity("a", 4).value(of_maps(pairs)), torch.tensor([-1 / 3, -1 / 3, 0, 0]))


def test_diversity_is_the_mean_cosine_of_gram_matrices() -> None:
    a = answers()
    grams = [(a["a"][row].flatten(1) @ a["a"][row].flatten(1).T).flatten() for row in range(4)]
    cosine = torch.nn.functional.cosine_similarity
    expected = [
        -sum(float(cosine(grams[row], grams[other], 0)) for other in range(4) if other != row) / 3 for row in range(4)
    ]
    torch.testing.assert_close(diversity("a", 4).value(a), torch.tensor(expected).double())


def test_its_gradient_drives_pictures_apart() -> None:
    maps = answers()["a"].clone().requires_grad_()
    apart = diversity("a", 2)
    before = apart.value(of_maps(maps))
    (gradient,) = torch.autograd.grad(before.sum(), maps)
    assert (apart.value(of_maps(maps + 0.1 * gradient)) > before).all()


def test_diverse_weighs_diversity_by_the_size_of_the_objective() -> None:
    a = answers()
    own, apart = channel("a", WANTED), diversity("b", 2)
    made = diverse(own, "b", 2, share=0.5)
    expected = own.value(a) + 0.5 * own.value(a).abs() * apart.value(a)
    torch.testing.assert_close(made.value(a), expected)
    assert made.layers == {"a", "b"} and made.group == 2
    maps = a["a"].clone().requires_grad_()
    on_both = Answers(a.numbers, None, {"a": maps, "b": a["b"]})
    (gradient,) = torch.autograd.grad(diverse(own, "b", 2).value(on_both).sum(), maps)
    (plain,) = torch.autograd.grad(own.value(Answers(a.numbers, None, {"a": maps})).sum(), maps)
    torch.testing.assert_close(gradient, plain)  # the weight itself is a plain number


def test_a_group_is_never_drawn_apart(trap: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of three pictures would cut pairs in two."""
    seen: list[list[int]] = []
    apart = diverse(channel("conv2", [0, 0, 3, 3, 5, 5]), "conv2", 2)

    def value(a: Answers) -> torch.Tensor:
        seen.append(a.numbers.tolist())
        return apart.value(a)

    watched = Objective(apart.title, apart.layers, value, group=2)
    whole = drawn(trap, watched, 6, steps=6)
    assert seen == [[0, 1, 2, 3, 4, 5]] * 7
    seen.clear()
    monkeypatch.setattr("interpret.filters.artist.chunk_size", lambda *_: 3)
    parts = drawn(trap, watched, 6, steps=6)
    assert seen == [[0, 1], [2, 3], [4, 5]] * 7
    np.testing.assert_allclose(parts.planes, whole.planes, atol=1e-3)
    np.testing.assert_allclose(parts.reached, whole.reached, atol=1e-3)
    with pytest.raises(BadInput, match="5 pictures do not make whole groups of 2"):
        drawn(trap, watched, 5, steps=1)


# ---- of a picture -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", ["conv2", "relu:1", "head"])
def test_inversion_is_nothing_at_the_picture_itself_and_less_elsewhere(trap: LoadedModel, layer: str) -> None:
    images = [noise_picture(seed) for seed in range(3)]
    batch = torch.cat([trap.preprocess.to_batch(image) for image in images])
    maps = trap.layer(layer).channels_first(trap.observe(batch, [layer])[layer])
    found = inversion(trap, layer, images[1]).value(Answers(torch.arange(3), None, {layer: maps}))
    assert abs(found[1]) < 1e-9 and found[0] < -1e-4 and found[2] < -1e-4
    distance = (maps[0] - maps[1]).norm() / maps[1].norm()
    assert float(found[0]) == pytest.approx(-(float(distance) ** 2), rel=1e-4)


@pytest.mark.parametrize("layer", ["conv1", "conv2", "relu:1"])
def test_an_inversion_really_comes_near_the_pictures_answer(trap: LoadedModel, layer: str) -> None:
    """Less than a quarter of the start's error is left, and its own picture's answer is nearer than another's."""
    image, other = sample_picture("flower.jpg"), sample_picture("china.jpg")
    objective = inversion(trap, layer, image)
    first, last = (drawn(trap, objective, steps=steps) for steps in (1, 300))
    assert first.reached[0] < last.reached[0] < 0
    planes = torch.from_numpy(last.planes.copy()).permute(0, 3, 1, 2)
    found, own, others = (
        trap.layer(layer).channels_first(trap.observe(batch, [layer])[layer])
        for batch in (
            trap.preprocess.from_planes(planes),
            trap.preprocess.to_batch(image),
            trap.preprocess.to_batch(other),
        )
    )
    assert (found - own).norm() < 0.6 * (found - others).norm()
    assert -float((found - own).square().sum() / own.square().sum()) == pytest.approx(float(last.reached[0]), rel=1e-3)
    assert last.reached[0] > first.reached[0] / 4


def test_a_caricature_is_dot_times_cosine_squared(trap: LoadedModel) -> None:
    images = [sample_picture(name) for name in ("flower.jpg", "china.jpg")]
    batch = torch.cat([trap.preprocess.to_batch(image) for image in images])
    maps = trap.observe(batch, ["conv2"])["conv2"]
    found = caricature(trap, "conv2", images[0]).value(Answers(torch.arange(2), None, {"conv2": maps}))
    flat = maps.flatten(1).double().numpy()
    for row in range(2):
        dot = flat[row] @ flat[0]
        cosine = dot / np.linalg.norm(flat[row]) / np.linalg.norm(flat[0])
        assert float(found[row]) == pytest.approx(dot * cosine**2 / flat.shape[1], rel=1e-4)
    last = drawn(trap, caricature(trap, "conv2", images[0]), steps=300)
    assert last.reached[0] > found[0]  # more of what is seen in the picture than the picture itself gives
    assert last.objective == "conv2 as for flower.jpg, exaggerated"


def test_pictures_of_another_size_cannot_be_compared(trap: LoadedModel) -> None:
    for made in (inversion, caricature):
        with pytest.raises(BadInput, match=r"12 x 12 places, the drawing's 20 x 20. Draw at the network's own size."):
            drawn(trap, made(trap, "conv2", noise_picture(0)), steps=1, side=20)


# ---- what ascents on them lead to ---------------------------------------------------------------------------------


def test_an_ascent_takes_any_sum(trap: LoadedModel) -> None:
    """A class against another, with a channel beside them: more steps, more of it; the other way round, less."""
    objective = class_score([0, 2]) - class_score(1) + 0.5 * channel("conv2", [1, 4])
    first, last = (drawn(trap, objective, 2, steps=steps).reached for steps in (1, 60))
    assert (last > first + 0.004).all()
    opposite = drawn(trap, -objective, 2, steps=60).reached
    assert (-opposite < first - 0.02).all()
    down = complete(draw(trap, objective, 2, FilterParams(steps=60, direction="negative"))).reached
    np.testing.assert_allclose(down, -opposite, atol=0.02)


@pytest.mark.parametrize(
    "objective",
    [
        neuron("conv2", [0, 3]),
        direction("bn2", torch.tensor([1.0, -1, 0, 0.5, 0, 2])),
        deep_dream("relu:1"),
        between(channel("conv2", 1), channel("conv1", 4), (0.25, 0.75)),
    ],
    ids=lambda objective: objective.title,
)
def test_an_ascent_drives_it_up(trap: LoadedModel, objective: Objective) -> None:
    first, last = (drawn(trap, objective, 2, steps=steps).reached for steps in (1, 80))
    assert (last > first).all()
