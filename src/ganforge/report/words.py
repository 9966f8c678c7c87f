"""What a run's figures come to, in sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ganforge.diagnosis import Diagnosis
from ganforge.evaluation.score import Score
from ganforge.report.facts import Entry, Facts, duration, progress
from ganforge.report.samples import Neighbours
from ganforge.runs import samples

GOOD, FAIR, BAD, OPEN = "good", "fair", "bad", "open"
TONES = {"as real": GOOD, "close": FAIR}
STATES = {
    "finished": "Finished",
    "stopped": "Stopped on request, can go on",
    "running": "Running now",
    "interrupted": "Interrupted: no process trains it now; the same command goes on",
    "diverged": "Diverged: losses, gradients or weights were no longer finite",
    "failed": "Failed",
    "unknown": "Not begun",
}
STANDING = {
    "as real": "as good as real by its Frechet distance",
    "close": "close to real by its Frechet distance",
    "far": "still far from real by its Frechet distance",
    "unknown": "its Frechet distance does not tell how good",
}


@dataclass(frozen=True)
class Verdict:
    """A tone (a name of the style sheet) and a headline."""

    tone: str
    text: str


@dataclass(frozen=True)
class Figure:
    """One figure of a run, and what to hold it against."""

    name: str
    value: str
    beside: str


def figures(facts: Facts, health: Diagnosis | None) -> list[Figure]:
    """The few figures that say most, as far as they are known."""
    out = []
    for name, title in (("frechet", "Frechet distance"), ("label-accuracy", "Label accuracy")):
        found = next((e.named(name) for e in facts.own if e.named(name)), None)
        if found is not None:
            share = name == "label-accuracy"
            show = percent if share else number
            value = show(found.value) if share else f"{show(found.value)} ± {found.spread:.2g}"
            stamp = f"N {found.n:,}, {found.split}"
            beside = f"real examples {show(found.floor)}: {found.verdict} ({stamp})"
            out.append(Figure(title, value, beside))
    if health is not None and health.checked:
        bad, asked = len(health.sick), len(health.checked)
        value = "healthy" if enough(health) else "open"
        value = f"{bad} {plural('finding', bad)}" if bad else value
        beside = f"{asked} of {asked + len(health.skipped)} checks could be made"
        out.append(Figure("Diagnosis", value, beside))
    epoch, seconds = facts.last.get("epoch"), facts.last.get("seconds")
    if isinstance(epoch, int | float):
        beside = facts.state + (f", {duration(float(seconds))}" if seconds else "")
        text = samples.epoch_text(float(epoch))
        out.append(Figure("Training", f"{text} {plural('epoch', 1 if text == '1' else 2)}", beside))
    return out


def tone(word: str) -> str:
    """The tone of a score's word."""
    return OPEN if word == "unknown" else TONES.get(word, BAD)


def verdict(facts: Facts, health: Diagnosis | None) -> Verdict:
    """Healthy or not, and how good, in one line."""
    score = facts.score
    standing = STANDING.get(score.verdict, "") if score else ""
    if facts.state in ("diverged", "failed"):
        return Verdict(BAD, "Diverged" if facts.state == "diverged" else "Failed")
    if health is None:
        return Verdict(OPEN, f"Not diagnosed{', ' if standing else ''}{standing}")
    if health.sick:
        names = "; ".join(f.name for f in health.sick)
        return Verdict(BAD, f"Not healthy: {names}")
    if not enough(health):
        return Verdict(OPEN, f"Too early to tell{', ' if standing else ''}{standing}")
    if not standing:
        return Verdict(FAIR, "Healthy, not scored yet")
    link = ", but " if score and score.verdict == "far" else ", and "
    return Verdict(tone(score.verdict) if score else FAIR, f"Healthy{link}{standing}")


def enough(health: Diagnosis) -> bool:
    """Whether most checks had something to go by, so that no finding means something."""
    return len(health.checked) > len(health.skipped)


def summary(
    facts: Facts, health: Diagnosis | None, why: str, copies: Neighbours | None
) -> list[str]:
    """The run in a few sentences: state, health, quality against the floor, labels, copies."""
    out = [sentence(STATES.get(facts.state, facts.state))]
    if told := progress(facts):
        out[0] += f" {sentence(told)}"
    out.append(of_health(health, why))
    out.append(of_quality(facts))
    out.append(of_labels(facts))
    if copies is not None:
        out.append(of_copies(copies))
    return [s for s in out if s]


def sentence(text: str) -> str:
    """With a capital at its head and a stop at its end."""
    stop = "" if text.endswith((".", "!", "?", ":")) else "."
    return f"{text[:1].upper()}{text[1:]}{stop}"


def of_health(health: Diagnosis | None, why: str) -> str:
    """What the checks found."""
    if health is None:
        return sentence(f"Not diagnosed: {why}") if why else ""
    asked = len(health.checked)
    passed = f"{asked} {plural('check', asked)}"
    if health.sick:
        found = len(health.sick)
        each = "it is" if found == 1 else "each is"
        return f"{found} of {passed} found something wrong; {each} told below with its remedy."
    aside, quiet = len(health.skipped), asked - len(health.findings)
    also = f" ({aside} more had nothing to go by)" if aside else ""
    told = "".join(f" Of its scores, not of the run: {f.name}." for f in health.findings)
    return f"{quiet} {plural('check', quiet)} found nothing wrong{also}.{told}" if asked else ""


def of_quality(facts: Facts) -> str:
    """The score beside its floor, and where the model is weakest."""
    score = facts.score
    if score is None:
        return "It has not been scored: “ganforge evaluate” does, against real examples."
    entry = next(e for e in facts.entries if score in e.scores)
    text = (
        f"Its Frechet distance FD[{score.space}] is {number(score.value)} where real examples "
        f"have {number(score.floor)} (N = {score.n:,}, {score.split} split): {score.verdict}."
    )
    weak = [s for s in entry.scores if tone(s.verdict) == BAD]
    near = [s for s in entry.scores if tone(s.verdict) == FAIR]
    good = len([s for s in entry.scores if tone(s.verdict) == GOOD])
    if len(entry.scores) > 1:
        text += f" Of its {len(entry.scores)} scores {good} {'is' if good == 1 else 'are'} as real"
        text += f", {len(near)} close" if near else ""
        text += f", and {len(weak)} not: {listed(weak)}." if weak else "."
        open_ = len(entry.scores) - good - len(near) - len(weak)
        text += f" Of {open_} nothing can be said." if open_ else ""
    ahead = facts.last.get("step", 0) - entry.step
    if entry.step and ahead > 0:
        text += f" That was at step {entry.step:,}; the run has gone on for {ahead:,} steps."
    return text


def of_labels(facts: Facts) -> str:
    """Whether it makes what it is asked for."""
    scored: Entry | None = next((e for e in facts.own if e.named("label-accuracy")), None)
    score = scored.named("label-accuracy") if scored else None
    if score is None:
        return ""
    return (
        f"Asked for a label, it makes it in {percent(score.value)} of cases; real examples are "
        f"taken for theirs in {percent(score.floor)}."
    )


def of_copies(found: Neighbours) -> str:
    """Whether samples hug the training data."""
    text = (
        f"{percent(found.authentic)} of {found.count} samples are farther from their nearest "
        "training example than that one is from its own"
    )
    if math.isnan(found.floor):
        return f"{text}; there are too few held-out examples to compare with."
    return f"{text} (held-out real examples: {percent(found.floor)})."


def of_timing(facts: Facts) -> str:
    """The time of a run, for a table."""
    seconds = facts.last.get("seconds")
    return duration(float(seconds)) if seconds else "–"


def listed(scores: Sequence[Score]) -> str:
    """Names of metrics, at most four."""
    names = [s.name for s in scores]
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def plural(noun: str, count: int) -> str:
    """check, checks."""
    return noun if count == 1 else f"{noun}s"


def number(value: float) -> str:
    """Four digits; a dash for what is not a number."""
    return f"{value:.4g}" if math.isfinite(value) else "–"


def percent(share: float) -> str:
    """99.2 %."""
    return f"{100 * share:.1f} %"
