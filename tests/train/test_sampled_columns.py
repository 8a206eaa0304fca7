"""A step that computes a sample of the vocabulary descends the loss of all of it."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch
from transformers import BatchEncoding

from siftline.train.columns import Columns, sample_columns
from siftline.train.objective import Objective
from siftline.train.penalties import active_tokens, flops
from siftline.train.recipe import Recipe
from siftline.train.student import Student, open_student
from training_material import material


def test_what_is_needed_is_there_and_the_sample_stands_for_the_rest() -> None:
    tokens, counts = sample_columns([7, 3, 7, 0], 20, 4, b"seed")
    assert tokens.tolist() == sorted(set(tokens.tolist()))
    assert {0, 3, 7} <= set(tokens.tolist())
    assert len(tokens) == 7
    by_token = dict(zip(tokens.tolist(), counts.tolist(), strict=True))
    assert [by_token[t] for t in (0, 3, 7)] == [1, 1, 1]
    assert float(counts.sum()) == 20


def test_a_seed_gives_one_sample() -> None:
    first, again, other = (sample_columns([1], 500, 20, s) for s in (b"a", b"a", b"b"))
    assert torch.equal(first.tokens, again.tokens)
    assert not torch.equal(first.tokens, other.tokens)


def test_a_sample_as_large_as_the_vocabulary_is_all_of_it() -> None:
    tokens, counts = sample_columns([2], 6, 100, b"seed")
    assert tokens.tolist() == list(range(6))
    assert counts.tolist() == [1] * 6


def test_the_mean_penalty_of_all_samples_is_the_penalty() -> None:
    documents = torch.rand(3, 2, 6, generator=torch.Generator().manual_seed(0))
    documents = documents * (documents > 0.3)
    found = []
    for chosen in combinations(range(2, 6), 2):
        tokens = torch.tensor([0, 1, *chosen])
        counts = torch.tensor([1.0, 1.0, 2.0, 2.0])
        found.append(
            (
                flops(documents[..., tokens], counts=counts),
                active_tokens(documents[..., tokens], counts).mean(),
            )
        )
    penalties, active = zip(*found, strict=True)
    torch.testing.assert_close(torch.stack(penalties).mean(), flops(documents))
    torch.testing.assert_close(torch.stack(active).mean(), active_tokens(documents).float().mean())


def test_idf_in_the_penalty_is_that_of_the_columns() -> None:
    generator = torch.Generator().manual_seed(1)
    documents, queries = torch.rand(2, 3, 6, generator=generator), torch.ones(2, 6)
    idf = torch.tensor([1.0, 2.0, 4.0, 0.5, 3.0, 8.0])
    objective = Objective(Recipe("any", "any", loss_types=(), idf_form="flops"), idf)
    whole = objective(queries, documents, None, 0).shown["d_flops"]
    found = []
    for chosen in combinations(range(6), 3):
        tokens = torch.tensor(chosen)
        columns = Columns(tokens, torch.full((3,), 2.0))
        sampled = objective(queries[:, tokens], documents[..., tokens], None, 0, columns)
        found.append(sampled.shown["d_flops"])
    assert sum(found) / len(found) == pytest.approx(whole)
    assert max(found) > whole > min(found)


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Student:
    folder = tmp_path_factory.mktemp("columns")
    material(folder)
    torch.manual_seed(0)
    return open_student(folder / "backbone", idf=None)


def test_scores_and_their_gradients_are_those_of_the_whole_vocabulary(student: Student) -> None:
    words = student.tokenizer.convert_ids_to_tokens(range(len(student)))
    plain = [w for w in words if w.startswith("w")]
    queries = [f"{plain[0]} {plain[3]}", plain[5]]
    documents = [" ".join(plain[i : i + 4]) for i in range(4)]

    def tokens(texts: list[str]) -> BatchEncoding:
        return student.tokenizer(texts, padding=True, return_tensors="pt")

    asked, given = tokens(queries), tokens(documents)
    columns = sample_columns(asked["input_ids"].flatten().tolist(), len(student), 3, b"seed")
    assert len(columns.tokens) < len(student)
    recipe = Recipe("any", "any", loss_types=("infonce",), negatives="documents", flops_d_lambda=0)
    gradients = []
    for chosen in (None, columns):
        student.zero_grad()
        asking, answering = student(asked, given, 2, None if chosen is None else chosen.tokens)
        loss = Objective(recipe)(asking, answering, None, 0, chosen).loss
        loss.backward()
        found = {n: p.grad for n, p in student.named_parameters()}
        gradients.append({n: g.clone() for n, g in found.items() if g is not None})
        gradients[-1]["loss"] = loss.detach()
    for name, value in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], value, rtol=1e-4, atol=1e-6, msg=name)
    assert max(float(g.abs().max()) for g in gradients[0].values()) > 1e-3
