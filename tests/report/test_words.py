"""The sentences follow the numbers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ganforge.diagnosis import Finding
from ganforge.report import facts, words
from ganforge.runs.folder import Run
from tests.helpers.pages import HEALTHY
from tests.helpers.reported import CARD


def test_the_words_follow_the_figures(digits: Path) -> None:
    known = facts.gather(Run(digits))
    finding = Finding("GF001", "mode collapse", "", "")

    def headline(word: str, *findings: Finding, state: str = "finished") -> tuple[str, str]:
        scored = replace(known.entries[0], scores=(replace(CARD, verdict=word),))
        verdict = words.verdict(
            replace(known, entries=(scored,), state=state), replace(HEALTHY, findings=findings)
        )
        return verdict.tone, verdict.text

    by = "by its Frechet distance"
    assert headline("as real") == (words.GOOD, f"Healthy, and as good as real {by}")
    assert headline("close") == (words.FAIR, f"Healthy, and close to real {by}")
    assert headline("far") == (words.BAD, f"Healthy, but still far from real {by}")
    assert headline("unknown") == (
        words.OPEN,
        "Healthy, and its Frechet distance does not show how good",
    )
    few_samples = Finding("GF011", "too few samples", "", "")
    of_scores = replace(HEALTHY, findings=(few_samples,), checked=("GF001", "GF002", "GF011"))
    text = words.of_health(of_scores, "")
    assert (
        text == "2 checks found no problem. About its scores, not about the run: too few samples."
    )
    assert headline("as real", finding) == (words.BAD, "Not healthy: mode collapse")
    assert headline("as real", state="diverged") == (words.BAD, "Diverged")
    assert words.verdict(known, None).tone == words.OPEN
    assert words.verdict(replace(known, entries=()), replace(HEALTHY, checked=())) == (
        words.Verdict(words.OPEN, "Too early to say")
    )
    few = replace(HEALTHY, checked=(), open="30 validation examples are too few to score")
    unscored = replace(known, entries=())
    assert words.verdict(unscored, few).text == "Too little was checked to say"
    text = words.summary(unscored, few, "", None)[-1]
    assert text == "Not scored: 30 validation examples are too few to score."
    others = dict.fromkeys(("GF013", "GF014", "GF015"), "it does not translate pictures")
    unfit = replace(HEALTHY, skipped=others | {"GF009": "its game has no labels"})
    assert words.verdict(unscored, unfit).text == "Healthy, not scored yet"
    assert "more" not in words.of_health(unfit, "")
    few = replace(HEALTHY, skipped={"GF002": "", "GF003": ""})
    assert words.verdict(replace(known, entries=()), few).text == "Too early to say"
    assert words.figures(known, few)[2].value == "open"
    open_ = tuple(replace(CARD, verdict=w) for w in ("as real", "unknown", "close"))
    scored = replace(known, entries=(replace(known.entries[0], scores=open_),))
    text = words.of_quality(scored)
    assert "3 scores 1 is as real, 1 close. 1 cannot be judged." in text
    ahead = replace(known, info={**known.info, "step": 9})
    assert "the run has trained 5 steps since" in words.of_quality(ahead)
