"""Recipes and runs are compared fairly: resuming, refusals, scores, the text."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping, Sequence
from contextlib import chdir
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy import stats

import ganforge as gf
from ganforge import api, recipes
from ganforge.callbacks import evaluate
from ganforge.cli import main
from ganforge.cli.commands.compare import parts
from ganforge.config.convert import to_dict
from ganforge.config.schema import Config
from ganforge.errors import DataError, DivergedError, UsageError
from ganforge.evaluation import evaluate as evaluation
from ganforge.evaluation import store
from ganforge.evaluation.score import Score
from ganforge.experiments import compare, naming
from ganforge.experiments.compare import Budget, Comparison, Entry, Group, Scoring, show, subject
from ganforge.experiments.compare import budget as budgets
from ganforge.experiments.compare.recipes import CANDIDATES, plan_jobs, variant
from ganforge.experiments.compare.runs import labels, refuse_different_stamps
from ganforge.experiments.ensemble import capability
from ganforge.runs import checkpoint
from ganforge.runs import folder as runs
from ganforge.runs.folder import Run
from ganforge.training import loop
from ganforge.training.trainer import Trainer
from tests.helpers.tiny import StopAfter, folder_hashes

RNG = np.random.default_rng(0)
SCORED = Scoring(n=100)
SHORT = Budget(kimg=0.8)  # 100 steps of the Gaussian
PAIR = ["gaussian", "gaussian:generator.lr=1e-3"]
CARD = Score("frechet", 1.0, 0.1, 0.5, 100, "identity", "ab" * 32, 0, "test", "lower")


def shrink(patch: pytest.MonkeyPatch) -> None:
    """Scores of 100 samples, at steps as near to each other as is asked for, and no plots."""
    patch.setattr(evaluate, "N", 100)
    patch.setattr(evaluate, "SHORTEST", 0.0)
    patch.setattr(Trainer, "min_gap", 1)
    patch.setattr(api, "draw", lambda run: None)
    patch.setattr(evaluate, "curve", lambda records: b"")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    shrink(monkeypatch)


@pytest.fixture
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Games too large to be trained at once, see test_ensemble_compare.py for those that are."""
    monkeypatch.setattr(capability, "PAYS", 0)


# --- what is trained --------------------------------------------------------------------------


def test_variants_as_they_are_written(tmp_path: Path) -> None:
    made = variant("gaussian:generator.lr=1e-3:game.loss=hinge", {"batch": "16", "ema": "0.5"})
    assert (made.generator.lr, made.game.loss, made.batch, made.ema) == (1e-3, "hinge", 16, 0.5)
    assert variant("gaussian:batch=4", {"batch": "16"}).batch == 4
    assert variant("gaussian:device=cuda:0").device == "cuda:0"
    file = tmp_path / "mine.py"
    file.write_text("import ganforge as gf\ndef run(): return gf.recipes.gaussian()\n")
    assert variant(f"{file}:run:batch=4").batch == 4
    assert parts('a, b:betas=[0.5, 0.9],c:name="x,y"') == [
        "a", "b:betas=[0.5, 0.9]", 'c:name="x,y"',
    ]  # fmt: skip


def configs(*texts: str) -> dict[str, Config]:
    return {text: variant(text) for text in texts}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (lambda out: variant("gausian"), "gaussian"),
        (lambda out: variant("gaussian:generator.rl=1"), "generator.rl"),
        (lambda out: variant("gaussian:seed=3"), "--seeds"),
        (lambda out: variant("gaussian:batch=0"), "gaussian:batch=0: batch = 0"),
        (lambda out: Budget(epochs=1, seconds=2), "--epochs and --seconds"),
        (lambda out: Budget(seconds=0), "seconds = 0"),
        (lambda out: plan_jobs(configs("gaussian", "cgan"), [0], SHORT, out), "'mnist' in cgan"),
        (lambda out: plan_jobs(configs("gaussian", "gaussian:batch=8"), [0], SHORT, out), "same"),
        (lambda out: plan_jobs(configs("gaussian"), [0, 0], SHORT, out), "each seed once"),
        (lambda out: plan_jobs(configs("gaussian"), [], SHORT, out), "seeds"),
        (lambda out: plan_jobs({}, [0], SHORT, out), "recipes"),
        (lambda out: plan_jobs(configs("gaussian", "gaussian:epochs=3"), [0], Budget(), out),
         "gaussian 20 epochs, gaussian:epochs=3 3 epochs"),
        (lambda out: compare.of_recipes(["gaussian"] * 2, [0], out), "named twice"),
        (lambda out: Scoring(("fid",)), "frechet"),
        (lambda out: Scoring(n=5), "at least 100"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_refused_before_anything_is_trained(
    given: Any, said: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as error:
        given(tmp_path / "out")
    assert said in str(error.value)
    assert not (tmp_path / "out").exists()


def test_seconds_become_images_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A continued comparison has the budget it had at the start, whatever the clock says then."""
    monkeypatch.setattr(budgets, "images_a_second", lambda one, seconds: 500.0 * one.batch)
    variants = configs("gaussian", "gaussian:batch=16")
    first = plan_jobs(variants, [0, 1], Budget(seconds=3), tmp_path)
    assert [j.config.kimg for j in first] == [12.0, 24.0, 12.0, 24.0]
    monkeypatch.setattr(budgets, "images_a_second", lambda one, seconds: 1e9)
    assert plan_jobs(variants, [0, 1], Budget(seconds=3), tmp_path) == first
    assert plan_jobs(variants, [0], Budget(seconds=1), tmp_path)[0].config.kimg == 1e6
    (tmp_path / budgets.SPEEDS).write_text("{")
    with pytest.raises(DataError, match="damaged"):
        plan_jobs(variants, [0], Budget(seconds=1), tmp_path)


def test_one_budget_is_given_to_all(tmp_path: Path) -> None:
    """In epochs or in images, over whatever the recipes say."""
    variants = configs("gaussian:kimg=3", "gaussian:epochs=7:batch=16")
    for budget, images in ((Budget(epochs=2), 2000), (Budget(kimg=5), 5000)):
        todo = plan_jobs(variants, [0, 1], budget, tmp_path)
        assert [j.config.images(1000) for j in todo] == [images] * 4
        assert {j.config.output.score_every for j in todo} == {images / 1000 / CANDIDATES}


def test_the_speed_is_measured_and_leaves_nothing(tmp_path: Path) -> None:
    before = list(tmp_path.iterdir())
    assert budgets.images_a_second(recipes.find("gaussian"), 0.01) > 0
    assert list(tmp_path.iterdir()) == before


@pytest.mark.usefixtures("one_by_one")
def test_a_comparison_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    """Whole runs stay as they are, half a run continues, bit for bit as if nothing had happened."""
    todo = plan_jobs(configs(*PAIR), [0, 1], SHORT, tmp_path / "a")
    assert [str(j.folder.relative_to(tmp_path / "a")) for j in todo] == [
        "gaussian/seed-0", "gaussian-generator.lr=1e-3/seed-0",
        "gaussian/seed-1", "gaussian-generator.lr=1e-3/seed-1",
    ]  # fmt: skip
    list(compare.train_missing(todo[:1], "quiet"))
    list(loop.train(todo[1].config, todo[1].folder, StopAfter(30)))
    assert Run(todo[1].folder).info()["status"] == "stopped"
    before = folder_hashes(todo[0].folder)
    lines = list(compare.train_missing(todo, "quiet"))
    assert len(lines) == 3 and "run 1 of 3" in lines[0] and "gaussian:generator.lr" in lines[0]
    assert folder_hashes(todo[0].folder) == before
    assert list(compare.train_missing(todo, "quiet")) == []
    whole = plan_jobs(configs(*PAIR), [0, 1], SHORT, tmp_path / "b")
    list(compare.train_missing(whole, "quiet"))
    for one, two in zip(todo, whole, strict=True):
        assert weights(one.folder) == weights(two.folder)


def weights(folder: Path) -> bytes:
    return (checkpoint.listed(folder / "checkpoints")[0] / "state.safetensors").read_bytes()


@pytest.mark.usefixtures("one_by_one")
def test_a_signal_ends_the_comparison(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    todo = plan_jobs(configs("gaussian"), [0, 1], SHORT, tmp_path)
    train = api.train

    def interrupted(*args: Any, **options: Any) -> api.Trained:
        return replace(train(*args, **options), signal=15)

    monkeypatch.setattr(api, "train", interrupted)
    with pytest.raises(compare.StoppedError, match="seed 0: stopped and saved") as error:
        list(compare.train_missing(todo, "quiet"))
    assert error.value.exit_code == 143 and not todo[1].folder.exists()


def test_another_run_in_the_folder_is_named(tmp_path: Path) -> None:
    list(compare.train_missing(plan_jobs(configs("gaussian"), [0], SHORT, tmp_path), "quiet"))
    for budget, said in ((Budget(kimg=1.6), "kimg = 0.8 there, 1.6 here"),
                         (Budget(epochs=1), "epochs = 20.0 there, 1")):  # fmt: skip
        todo = plan_jobs(configs("gaussian"), [0, 1], budget, tmp_path)
        with pytest.raises(UsageError, match=said):
            list(compare.train_missing(todo, "quiet"))
    assert not (tmp_path / "gaussian/seed-1").exists()
    other = {"gaussian": variant("gaussian:game.loss=hinge")}
    with pytest.raises(UsageError, match="hinge"):
        list(compare.train_missing(plan_jobs(other, [0], SHORT, tmp_path), "quiet"))


@pytest.mark.usefixtures("one_by_one")
def test_a_diverged_run_is_named_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is in no mean, in no silence either, and is not tried again."""
    todo = plan_jobs(configs("gaussian"), [0, 1, 2], SHORT, tmp_path)
    train = api.train

    def diverging(config: Config, folder: Path, **options: Any) -> api.Trained:
        done = train(config, folder, **options)
        if config.seed == 1:
            done.run.write_info(status="diverged")
            raise DivergedError("diverged by step 7")
        return done

    monkeypatch.setattr(api, "train", diverging)
    lines = list(compare.train_missing(todo, "quiet"))
    assert len(lines) == 4 and "diverged by step 7" in lines[2]
    assert list(compare.train_missing(todo, "quiet")) == []
    shutil.rmtree(todo[1].folder / evaluate.BEST_MODEL)  # it need not have come to one
    found = compare.of_runs([tmp_path], SCORED)
    assert set(found.groups[0].values("frechet")) == {0, 2} and found.model == "best"
    text = compare.text(found)
    assert "1 of 3 runs diverged (seed 1)" in text
    assert json.loads(json.dumps(show.table(found)))["recipes"]["gaussian"][1]["diverged"]
    with pytest.raises(DataError, match="every run has diverged"):
        compare.of_runs([todo[1].folder], SCORED)


# --- what is judged ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two variants, two seeds, 100 steps."""
    out = tmp_path_factory.mktemp("compare")
    with pytest.MonkeyPatch.context() as patch:
        shrink(patch)
        compare.of_recipes(PAIR, [0, 1], out, scoring=SCORED, budget=SHORT, show="quiet")
    return out


def values(found: Comparison) -> list[dict[int, float]]:
    return [group.values("frechet") for group in found.groups]


def test_the_test_split_is_scored_once(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second comparison measures nothing, from the recipes or from their folder."""
    measured = evaluation.evaluate
    monkeypatch.setattr(evaluation, "evaluate", None)
    again = compare.of_recipes(PAIR, [0, 1], trained, scoring=SCORED, budget=SHORT, show="quiet")
    from_folder = gf.compare.of_runs([trained], SCORED)
    assert [g.label for g in again.groups] == PAIR
    assert {g.label for g in from_folder.groups} == {"gaussian", "gaussian:generator.lr=0.001"}
    key = lambda v: sorted(v.items())  # noqa: E731
    assert sorted(values(again), key=key) == sorted(values(from_folder), key=key)
    monkeypatch.setattr(evaluation, "evaluate", measured)
    other = compare.of_runs([trained], Scoring(n=120))
    assert values(other) != values(from_folder)
    assert "there are no more" not in compare.text(other)
    cut = compare.of_runs([trained], Scoring(n=5000))
    said = f"N = {cut.scoring.n:,}, not 5,000: there are no more"
    assert cut.scoring.n < 5000 and said in compare.text(cut)


def test_the_checkpoint_is_the_best_of_the_validation_split(trained: Path, tmp_path: Path) -> None:
    found = compare.of_runs([trained], SCORED)
    assert found.model == "best"
    for e in found.entries:
        records = list(runs.read_log(e.path / store.CURVE))
        assert len(records) == CANDIDATES
        lowest = min(records, key=lambda r: r["frechet"])
        assert e.epoch == pytest.approx(lowest["epoch"])
        direct = evaluation.evaluate(e.path / evaluate.BEST_MODEL, n=100, metrics=["frechet"])
        assert direct[0].value == e.scores["frechet"].value and direct[0].split == "test"
    plain = recipes.find("gaussian")
    plain = replace(plain, kimg=0.8, seed=7, output=replace(plain.output, score=False))
    api.train(plain, tmp_path / "plain", show="quiet")
    mixed = compare.of_runs([trained, tmp_path / "plain"], SCORED)
    assert mixed.model == "last" and "last model" in compare.text(mixed)
    assert all(e.epoch == pytest.approx(0.8) for e in mixed.entries)


def test_runs_that_cannot_be_compared_are_refused(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = trained / "gaussian/seed-0"
    ring = replace(recipes.find("gaussian"), data="ring", kimg=0.8)
    api.train(ring, tmp_path / "ring", show="quiet")
    with pytest.raises(UsageError, match=r"data = 'gaussian' in .*, 'ring' in"):
        compare.of_runs([one, tmp_path / "ring"], SCORED)
    with pytest.raises(UsageError, match="both gaussian, seed 0"):
        compare.of_runs([one, one], SCORED)
    list(loop.train(ring, tmp_path / "half", StopAfter(30)))
    with pytest.raises(DataError, match="stopped at step 30 of 100"):
        compare.of_runs([tmp_path / "half"], SCORED)
    with pytest.raises(UsageError, match=r"cas.*conditional"):
        compare.of_runs([trained], Scoring(("cas",), n=100))
    with pytest.raises(DataError, match="no such run"):
        compare.of_runs([tmp_path / "nowhere"], SCORED)
    saved = trained / "gaussian/seed-1/best/scores.json"
    text = saved.read_text()
    digest = next(iter(store.read(saved).values()))["scores"][0]["space_sha256"]
    saved.write_text(text.replace(digest, "0" * 64))
    try:
        with pytest.raises(DataError, match=f"frechet: space_sha256 is {digest}.*seed-1"):
            compare.of_runs([trained], SCORED)
    finally:
        saved.write_text(text)


@pytest.mark.parametrize("key", ["space", "space_sha256", "n", "split", "seed"])
def test_scores_with_different_stamps_are_not_compared(key: str) -> None:
    changed: dict[str, Any] = {key: {"n": 200, "seed": 1}.get(key, "other")}
    other = replace(CARD, **changed)
    pair = [Group("a", (run(0, CARD),)), Group("b", (run(0, other),))]
    with pytest.raises(DataError, match=f"frechet: {key} is"):
        refuse_different_stamps(pair)
    if key == "n":  # the N of the worst class is another in each run
        refuse_different_stamps(
            [Group("a", (run(0, replace(c, name="worst-class")),)) for c in (CARD, other)]
        )


def test_recipes_are_named_by_what_differs() -> None:
    base = recipes.find("gaussian")
    lower = replace(base, generator=replace(base.generator, lr=1e-3))
    longer = replace(base, kimg=9.0, epochs=1.0)
    tables = [to_dict(c) for c in (base, replace(base, seed=3, threads=2), lower)]
    assert labels(tables) == ["gaussian", "gaussian", "gaussian:generator.lr=0.001"]
    assert labels([to_dict(replace(lower, seed=s)) for s in (0, 1)]) == ["gaussian", "gaussian"]
    assert labels([to_dict(base), to_dict(longer)]) == [
        "gaussian", "gaussian:epochs=1.0:kimg=9.0",
    ]  # fmt: skip
    both = [to_dict(replace(lower, kimg=1.0)), to_dict(replace(base, kimg=2.0))]
    assert labels(both) == ["gaussian:generator.lr=0.001", "gaussian"]


def test_code_of_the_user_is_named_shortly_and_differs_by_its_sha256() -> None:
    base = to_dict(recipes.find("gaussian"))

    def own(sha256: str) -> dict[str, Any]:
        loss = {"kind": "python", "name": "d_loss g_loss", "sha256": sha256, "uses_real": True}
        return {**base, "game": {**base["game"], "loss": loss}}

    assert labels([base, own("0123456789")]) == ["gaussian", "gaussian:game.loss=d_loss g_loss"]
    assert labels([own("0123456789"), own("fedcba9876")]) == [
        "gaussian:game.loss=d_loss g_loss 01234567", "gaussian:game.loss=d_loss g_loss fedcba98",
    ]  # fmt: skip


# --- the text -----------------------------------------------------------------------------


def run(seed: int, *cards: Score, images: int = 1000, batch: int = 10, **more: Any) -> Entry:
    scores = {card.name: card for card in cards}
    return Entry(Path(f"r{seed}"), seed, images, batch, 12.0, 1.0, scores=scores, **more)


def made(
    figures: Mapping[str, Sequence[float]], better: Any = "lower", name: str = "frechet"
) -> Comparison:
    """A comparison of these values, seed by seed."""
    groups = tuple(
        Group(
            label,
            tuple(
                run(s, replace(CARD, name=name, value=v, better=better))
                for s, v in enumerate(given)
            ),
        )
        for label, given in figures.items()
    )
    return Comparison(groups, Scoring((name,), space="identity"), "gaussian", "cd" * 32, "best")


@pytest.mark.parametrize(
    ("better", "order"), [("lower", "bca"), ("higher", "acb"), ("floor", "cba")]
)
def test_the_best_stands_first(better: str, order: str) -> None:
    """The floor is 0.5: nearest to it first, where neither side is good."""
    figures = {"a": [3.0, 3.2], "b": [-0.6, -0.4], "c": [1.0, 1.1]}
    found = made(figures, better, "density" if better == "floor" else "frechet")
    metric = found.scoring.metrics[0]
    assert "".join(g.label for g, _ in found.ranked(metric)) == order
    assert [(t.a, t.b) for t in found.tests(metric)] == [
        (order[0], order[1]), (order[0], order[2]), (order[1], order[2]),
    ]  # fmt: skip
    rows = [line.split()[0] for line in compare.text(found).splitlines() if line[:2] in
            ("a ", "b ", "c ")]  # fmt: skip
    assert "".join(rows[:3]) == order
    assert ("distance to the floor" in compare.text(found)) == (better == "floor")


def test_the_text_has_every_number() -> None:
    figures = {"one": [1.0, 1.2, 1.1, 0.9, 1.3], "two": [2.0, 2.3, 1.9, 2.2, 2.6]}
    text = compare.text(made(figures))
    d = np.subtract(figures["one"], figures["two"])
    low, high = stats.t.interval(0.95, 4, 1.1, stats.sem(figures["one"]))
    for word in ("lower is better", "sha256 abababababab", "test split of gaussian", "floor",
                 "seed 0", "seed 4", f"{low:.4g} .. {high:.4g}", f"{d.mean():.4g}",
                 f"{stats.ttest_rel(figures['one'], figures['two']).pvalue:.2g}",
                 "cannot go below p = 0.062", "1,000", "equal budget", "best model"):  # fmt: skip
        assert word in text, word
    (row,) = [line for line in text.splitlines() if line.startswith("two ") and "2.3" in line]
    assert row.split()[-5:] == ["2", "2.3", "1.9", "2.2", "2.6"]
    assert "Holm" not in text and "claim" not in text
    assert "Holm's correction for 3 pairs" in compare.text(
        made({**figures, "three": [1, 2, 3, 4, 5]})
    )


def test_few_seeds_are_named_as_few() -> None:
    text = compare.text(made({"one": [1.0], "two": [2.0]}))
    assert "fewer than 2 seeds, so no error and no interval: one, two" in text
    assert "5 or more make a claim" in text and "t test" not in text and "nan" not in text
    text = compare.text(made({"one": [1.0, 2.0, 3.0], "two": [2.0, 1.0, 2.0]}))
    assert "no interval" not in text and "5 or more make a claim" in text
    assert "make a claim" not in compare.text(made({"one": [1.0, 2.0, 3.0, 2.0, 1.0]}))


def test_unequal_budgets_and_missing_metrics_are_named() -> None:
    label = replace(CARD, name="label-accuracy", value=0.9, better="higher")
    groups = (Group("cond", (run(0, CARD, label, images=2000),)), Group("plain", (run(0, CARD),)))
    asked = Scoring(("frechet", "label-accuracy"), space="identity")
    text = compare.text(Comparison(groups, asked, "mnist", "", "last"))
    assert "unequal budgets: 1,000 to 2,000 images" in text
    assert "plain: label-accuracy is for conditional recipes" in text
    near = (
        Group("a", (run(0, CARD, images=1000, batch=64),)),
        Group("b", (run(0, CARD, images=1060, batch=64),)),
    )
    assert Comparison(near, asked, "mnist", "", "last").equal_images


def test_the_files_beside_it(tmp_path: Path) -> None:
    found = made({"one": [1.0, math.nan, 2.0], "a recipe:with.long=settings": [40.0, 41.0, 44.0]})
    paths = compare.save(found, tmp_path)
    assert [p.name for p in paths] == ["compare.json", "compare.png"]
    table = json.loads(paths[0].read_text())
    assert [len(v) for v in table["recipes"].values()] == [3, 3]
    assert table["recipes"]["one"][1]["scores"]["frechet"]["value"] is None
    assert table["metrics"]["frechet"]["tests"][0]["difference"]["count"] == 3
    with Image.open(paths[1]) as picture:
        assert picture.size[0] == 2000
        assert np.asarray(picture.convert("RGB")).std() > 5
    assert "1 - 2" in compare.text(found)  # pairs by rank where names are long


# --- the command ------------------------------------------------------------------------------


def test_the_command_compares_two_variants(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = ["compare", "--recipes", "gaussian,gaussian:game.loss=hinge", "--seeds", "0..1",
             "--kimg", "0.8", "-n", "100", "--metric", "frechet,coverage", "--out", str(out),
             "--generator.lr", "1e-2"]  # fmt: skip
    assert main(words) == 0
    text = capsys.readouterr().out
    assert "gaussian:game.loss=hinge, seed 1: run 4 of 4" in text and "coverage" in text
    assert Run(out / "gaussian-game.loss=hinge/seed-1").settings()["generator"]["lr"] == 1e-2
    assert main(words) == 0
    again = capsys.readouterr().out
    assert "4 of 4 runs are there already" in again
    assert again.partition("frechet in")[2] == text.partition("frechet in")[2]
    runs_of = [str(out / "gaussian/seed-0"), str(out / "gaussian-game.loss=hinge/seed-0")]
    assert main(["compare", *runs_of, "-n", "100", "--out", str(tmp_path / "b")]) == 0
    assert "gaussian:game.loss=hinge" in capsys.readouterr().out
    assert (tmp_path / "b/compare.png").exists() and (out / "compare.json").exists()


BRIEF = ("--kimg", "0.8", "-n", "100")  # 100 steps, 100 samples


def test_no_two_comparisons_share_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Path("runs/compare")
    assert main(["compare", "--recipes", "gaussian", "--seeds", "0..1", *BRIEF]) == 0
    first = folder / "gaussian-seeds-0..1/compare.json"
    before = first.read_bytes()
    hinge = "gaussian:game.loss=hinge,gaussian"
    assert main(["compare", "--recipes", hinge, "--seeds", "0,1", *BRIEF]) == 0
    assert "2 of 4 runs are there already" in capsys.readouterr().out
    second = folder / "gaussian-vs-gaussian-game.loss=hinge-seeds-0..1/compare.json"
    runs_of = [str(folder / "gaussian/seed-1"), str(folder / "gaussian-game.loss=hinge/seed-1")]
    assert main(["compare", *runs_of, "-n", "100"]) == 0
    third = folder / "gaussian-vs-gaussian-game.loss=hinge-seeds-1/compare.json"
    assert second.exists() and third.exists() and first.read_bytes() == before
    assert json.loads(third.read_text())["runs"]["gaussian"] == {"1": "../gaussian/seed-1"}


def test_the_same_comparison_replaces_its_file(tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ["compare", "--recipes", "gaussian,gaussian:ema=0.9", "--seeds", "0..1", *BRIEF]
    assert main([*words, "--out", str(out)]) == 0
    assert main([*words, "--out", str(out), "--metric", "coverage"]) == 0
    table = json.loads((out / "compare.json").read_text())
    assert list(table["metrics"]) == ["coverage"]
    words[2], words[4] = "gaussian:ema=0.9,gaussian", "1,0"
    with chdir(tmp_path):
        assert main([*words, "--out", "out"]) == 0
    del table["runs"]  # as an earlier version wrote it
    (out / "compare.json").write_text(json.dumps(table))
    assert main([*words, "--out", str(out)]) == 0


def test_another_comparison_in_the_folder_is_refused_before_anything_is_trained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = ["compare", "--recipes", "gaussian", "--seeds", "0..1", *BRIEF, "--out", str(out)]
    assert main(words) == 0
    capsys.readouterr()
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(out / "gaussian", elsewhere)
    before = folder_hashes(out)
    others = {
        "seeds": ["--recipes", "gaussian", "--seeds", "0..2", *BRIEF],
        "speed": ["--recipes", "gaussian", "--seeds", "0..2", "--seconds", "1"],
        "recipes": ["--recipes", "gaussian,gaussian:ema=0.9", "--seeds", "0..1", *BRIEF],
        "runs": [str(elsewhere), "-n", "100"],
    }
    for name, given in others.items():
        assert main(["compare", *given, "--out", str(out)]) == 2, name
        shown, error = capsys.readouterr()
        assert "is the comparison of gaussian over the seeds 0..1" in error, error
        assert ("of runs in other folders" in error) == (name == "runs")
        assert "--out" in error and error.count("\n") == 1 and not shown
        assert folder_hashes(out) == before
    found = compare.of_runs([elsewhere], Scoring(n=100))
    with pytest.raises(gf.GanforgeError, match="of runs in other folders"):
        compare.save(found, out)
    (out / "compare.json").write_text("{")
    assert main(words) == 65
    assert "compare.json: damaged: remove it" in capsys.readouterr().err


def test_long_names_of_comparisons_are_cut_and_stay_apart() -> None:
    many = {f"cdcgan:game.loss=hinge:seed={i}": [0, 2] for i in range(20)}
    more = many | {"cdcgan": [0, 2]}
    names = [subject.name(one) for one in (many, more)]
    assert len(set(names)) == 2 and max(map(len, names)) <= naming.LONGEST
    assert subject.name({"b": [3, 1], "a": [0]}) == "a-vs-b-seeds-0-1-3"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([], 2, "--recipes"),
        (["x", "--recipes", "gaussian"], 2, "--recipes"),
        (["nowhere"], 65, "nowhere"),
        (["x", "--kimg", "3"], 2, "--kimg"),
        (["x", "--seeds", "0..2"], 2, "--seeds"),
        (["--recipes", "gaussian", "--code", "mine.py"], 2, "--code"),
        (["x", "--game.loss", "hinge"], 2, "--game.loss"),
        (["--recipes", "gaussian", "--seeds", "x"], 2, "0..63"),
        (["--recipes", "gausian"], 2, "gaussian"),
        (["--recipes", ","], 2, "recipes"),
        (["--recipes", "gaussian", "--metric", "fid"], 2, "frechet"),
        (["--recipes", "gaussian", "--epochs", "1", "--kimg", "1"], 2, "--kimg"),
        (["--recipes", "gaussian", "--epochs", "nan"], 2, "epochs"),
    ],
)
def test_bad_input_is_one_line(
    words: list[str], code: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main(["compare", *words]) == code
    out, error = capsys.readouterr()
    assert out == "" and error.count("\n") == 1 and said in error, error
    assert list(tmp_path.iterdir()) == []
