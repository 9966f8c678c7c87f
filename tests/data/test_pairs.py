"""Pairs and unpaired domains: every form, every error line, parts by group, packed, shown."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganforge import images, recipes
from ganforge.api import default_folder
from ganforge.cli import arguments, main
from ganforge.cli.commands import data as data_command
from ganforge.data import load
from ganforge.data.dataset import Dataset, Examples, select, split_groups
from ganforge.data.describe import describe
from ganforge.data.formats import image_pairs, packed
from ganforge.data.pack import pack
from ganforge.data.settings import short_name
from ganforge.errors import DataError, DiskError, UsageError

COUNT = 40


def picture(number: int, domain: str, side: int = 8, grey: bool = False) -> Image.Image:
    """All pixels but one say the number, that one says the domain."""
    values = np.full((side, side, 3), number, dtype=np.uint8)
    values[0, 0] = {"a": (10, 10, 10), "b": (200, 100, 50)}[domain]
    return Image.fromarray(values if not grey else values[..., 0])


def folder(path: Path, domain: str, names: Sequence[str], side: int = 8) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    for i, name in enumerate(names):
        picture(i, domain, side).save(path / name)
    return path


def names(count: int = COUNT, suffix: str = "png") -> list[str]:
    return [f"{i:03d}.{suffix}" for i in range(count)]


def side_by_side(path: Path, numbers: Sequence[int], side: int = 8) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    for i in numbers:
        whole = Image.new("RGB", (2 * side, side))
        whole.paste(picture(i, "a", side), (0, 0))
        whole.paste(picture(i, "b", side), (side, 0))
        whole.save(path / f"{i:03d}.png")
    return path


def numbers(values: np.ndarray) -> list[int]:
    return values[:, -1, -1, 0].tolist()


def check_pairs(data: Dataset, size: int = 8) -> None:
    assert data.source is not None and not data.unpaired
    assert data.source.shape[1:3] == data.values.shape[1:3] == (size, size)
    assert numbers(data.source) == numbers(data.values)
    assert set(data.source[:, 0, 0, 0].tolist()) == {10}
    assert set(data.values[:, 0, 0, 0].tolist()) == {200}
    assert data.spec.source is not None and data.spec.source.shape == (3, size, size)


def two_folders(path: Path) -> str:
    folder(path / "x", "a", names())
    folder(path / "y", "b", names(suffix="bmp"))  # the suffix does not count
    return f"{path / 'x'}|{path / 'y'}"


def one_folder(path: Path) -> str:
    folder(path / "A", "a", names())
    folder(path / "B", "b", names())
    return str(path)


def halves(path: Path) -> str:
    return str(side_by_side(path / "maps", range(COUNT)))


def table(path: Path) -> str:
    folder(path / "s", "a", names())
    folder(path / "t", "b", [f"t{name}" for name in names()])
    lines = [f"s/{name},t/t{name}" for name in names()]
    (path / "pairs.csv").write_text("source,target\n" + "\n".join(lines))
    return str(path)


def zipped(path: Path) -> str:
    one_folder(path / "f")
    with zipfile.ZipFile(path / "a.zip", "w") as archive:
        for file in sorted((path / "f").rglob("*.png")):
            archive.write(file, f"top/{file.relative_to(path / 'f')}")
    return str(path / "a.zip")


PAIRED = {f.__name__: f for f in (two_folders, one_folder, halves, table, zipped)}


@pytest.mark.parametrize("form", PAIRED)
def test_every_form_of_pairs(form: str, tmp_path: Path) -> None:
    given = PAIRED[form](tmp_path)
    parts = {part: load.load(given, part=part, pairing="paired") for part in load.PARTS}
    for data in parts.values():
        check_pairs(data)
        assert data.epoch == len(data)
    assert [len(parts[p]) for p in load.PARTS] == [36, 2, 2]
    assert sorted(n for d in parts.values() for n in numbers(d.values)) == list(range(COUNT))
    if form != "table":  # there the number of a name is that of its picture
        found = load.load(given, pairing="paired", size=4)
        assert found.spec.shape == (3, 4, 4) and found.spec.source.shape == (3, 4, 4)


def test_published_parts_of_side_by_side_pictures(tmp_path: Path) -> None:
    for part, which in (("train", range(20)), ("val", range(20, 26)), ("test", range(26, 30))):
        side_by_side(tmp_path / part, which)
    for part, which in (("train", range(20)), ("validation", range(20, 26)),
                        ("test", range(26, 30))):  # fmt: skip
        data = load.load(str(tmp_path), part=part, pairing="paired")
        check_pairs(data)
        assert sorted(numbers(data.values)) == list(which)


def domains(path: Path, test: bool = True) -> str:
    folder(path / "trainA", "a", [f"a{i}.png" for i in range(30)])
    folder(path / "trainB", "b", [f"b{i}.png" for i in range(50)], side=6)
    if test:
        folder(path / "testA", "a", [f"ta{i}.png" for i in range(5)])
        folder(path / "testB", "b", [f"tb{i}.png" for i in range(7)], side=6)
    return str(path)


def test_unpaired_domains_have_sizes_and_lengths_of_their_own(tmp_path: Path) -> None:
    for pairing in ("", "unpaired"):
        data = load.load(domains(tmp_path / "x"), pairing=pairing)
        assert data.unpaired and data.source is not None
        assert (len(data.source), len(data), data.epoch) == (28, 47, 47)
        assert data.spec.shape == (3, 6, 6) and data.spec.source.shape == (3, 8, 8)
        test = load.load(str(tmp_path / "x"), part="test", pairing=pairing)
        assert test.unpaired and (len(test.source), len(test)) == (5, 7)
    folder(tmp_path / "a", "a", [f"a{i}.png" for i in range(30)])
    folder(tmp_path / "b", "b", [f"b{i}.png" for i in range(50)])
    found = load.load(f"{tmp_path / 'a'}|{tmp_path / 'b'}", pairing="unpaired")
    assert found.unpaired and (len(found.source), len(found)) == (26, 44)


@pytest.mark.parametrize("form", ["two_folders", "one_folder", "zipped"])
def test_an_unpaired_game_does_not_see_pairs_that_the_held_out_part_keeps(
    form: str, tmp_path: Path
) -> None:
    given = PAIRED[form](tmp_path)
    train = load.load(given, pairing="unpaired")
    assert train.unpaired and len(train) == len(train.source) == 36
    held_out = load.load(given, part="test", pairing="unpaired")
    check_pairs(held_out)
    assert not set(numbers(held_out.values)) & set(numbers(train.values))
    assert train.sha256 != load.load(given, pairing="paired").sha256
    folder(Path(given.split("|")[0]) if "|" in given else tmp_path / "A", "a", ["more.png"])
    if form != "zipped":  # one name without a partner: these are two domains
        assert load.load(given, part="test", pairing="unpaired").unpaired


def test_rows_of_one_group_lie_in_one_part(tmp_path: Path) -> None:
    folder(tmp_path, "a", [f"s{name}" for name in names(60)])
    folder(tmp_path, "b", [f"t{name}" for name in names(60)])
    lines = [f"s{n},t{n},{chr(97 + i // 3)}" for i, n in enumerate(names(60))]
    (tmp_path / "pairs.csv").write_text("source,target,group\n" + "\n".join(lines))
    parts = {p: set(numbers(load.load(str(tmp_path), part=p).values)) for p in load.PARTS}
    groups = {part: {n // 3 for n in found} for part, found in parts.items()}
    assert sum(map(len, groups.values())) == 20 and all(groups.values())
    assert set.union(*groups.values()) == set(range(20))
    assert [len(parts[p]) for p in load.PARTS] == [54, 3, 3]
    for share, count in ((0.1, 6), (0.2, 12)):
        assert len(load.load(f"{tmp_path}@held_out={share}", part="test")) == count
    assert len(load.load(f"{tmp_path}@held_out=0")) == 60
    (tmp_path / "pairs.csv").write_text("s000.png,t000.png,a\ns001.png,t001.png,")
    with pytest.raises(DataError, match="a line has no group and others have one"):
        load.load(str(tmp_path))


def test_groups_are_split_by_the_seed_and_too_few_all_train() -> None:
    groups = np.repeat(np.arange(50), 4)
    parts = split_groups(groups, 0)
    rows = np.concatenate(list(parts.values()))
    assert sorted(rows.tolist()) == list(range(200))
    assert [len(parts[p]) for p in load.PARTS] == [180, 12, 8]
    assert split_groups(groups, 1)["test"].tolist() != parts["test"].tolist()
    assert len(split_groups(np.repeat([0, 1], 50), 0)["train"]) == 100


# --- what is wrong with data ----------------------------------------------------------------------


def test_a_missing_partner_is_named_and_more_than_one_percent_is_refused(tmp_path: Path) -> None:
    folder(tmp_path / "A", "a", names(120))
    folder(tmp_path / "B", "b", names(119))
    data = load.load(str(tmp_path), pairing="paired")
    assert data.skipped == ("A/119.png: it has no partner in B",)
    assert len(data) == 107
    folder(tmp_path / "B", "b", ["x.png", "y.png"])
    with pytest.raises(DataError, match=r"3 of \d+ pictures have no partner.*A/119.png: it has"):
        load.load(str(tmp_path), pairing="paired")
    folder(tmp_path / "c", "a", ["p.png"]), folder(tmp_path / "d", "b", ["q.png"])
    with pytest.raises(DataError, match=r"no picture of A has the name of one of B.*cyclegan"):
        load.load(f"{tmp_path / 'c'}|{tmp_path / 'd'}", pairing="paired")


def test_an_ordinary_picture_is_not_cut_into_halves(tmp_path: Path) -> None:
    side_by_side(tmp_path, range(200))
    Image.new("RGB", (15, 8)).save(tmp_path / "007.png")
    for size in (None, 4):
        with pytest.raises(
            DataError,
            match=r"halves of '007.png' would be 7 pixels wide and 8 high.*--data A/ B/, or a pair",
        ):
            load.load(str(tmp_path), pairing="paired", size=size)


def test_a_csv_that_names_no_picture_or_no_pair(tmp_path: Path) -> None:
    where = table(tmp_path)
    good = (tmp_path / "pairs.csv").read_text()
    bad = {
        r"the first is pairs.csv, line 42: there is no picture 's/z.png'": "s/z.png,t/t000.png",
        r"line 42 has no pair: each line is source,target": "s/000.png",
        r"line 42 names a picture of an earlier line again": "s/000.png,t/t000.png",
    }
    for says, line in bad.items():
        (tmp_path / "pairs.csv").write_text(f"{good}\n{line}")
        with pytest.raises(DataError, match=says):
            load.load(where)


def test_a_damaged_picture_takes_its_partner_along(tmp_path: Path) -> None:
    where = one_folder(tmp_path / "x")
    folder(tmp_path / "x" / "A", "a", names(200)), folder(tmp_path / "x" / "B", "b", names(200))
    (tmp_path / "x" / "A" / "007.png").write_bytes(b"no picture")
    whole = (tmp_path / "x" / "B" / "009.png").read_bytes()
    (tmp_path / "x" / "B" / "009.png").write_bytes(whole[: len(whole) // 2])
    parts = [load.load(where, part=part, pairing="paired") for part in load.PARTS]
    for data in parts:
        check_pairs(data)
    assert sum(map(len, parts)) == 198
    assert [s.split(":")[0] for s in parts[0].skipped] == ["A/007.png", "B/009.png"]
    for i in range(20, 23):
        (tmp_path / "x" / "A" / f"{i:03d}.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"\d of 200 pictures cannot be read, more than 1 %"):
        load.load(where, pairing="paired")


def test_pictures_of_a_pair_show_the_same(tmp_path: Path) -> None:
    where = one_folder(tmp_path)
    Image.new("RGB", (16, 8)).save(tmp_path / "B" / "005.png")
    for size in (None, 8):
        with pytest.raises(DataError, match=r"the pair 'A/005.png', 'B/005.png' has the sizes 8 x"):
            load.load(where, pairing="paired", size=size)
    picture(5, "b", 16).save(tmp_path / "B" / "005.png")  # the same shape, twice as large
    with pytest.raises(DataError, match="pictures of 2 different sizes"):
        load.load(where, pairing="paired")
    data = load.load(where, pairing="paired", size=8)
    assert len(data) == 36 and numbers(data.source) == numbers(data.values)


def test_an_empty_domain(tmp_path: Path) -> None:
    folder(tmp_path / "x" / "A", "a", names(3)), (tmp_path / "x" / "B").mkdir()
    for pairing in ("paired", "unpaired"):
        with pytest.raises(DataError, match="domain B has no pictures: give two folders"):
            load.load(str(tmp_path / "x"), pairing=pairing)
    domains(tmp_path / "y", test=False)
    folder(tmp_path / "y" / "testB", "b", ["z.png"])
    with pytest.raises(DataError, match="testA/ has no pictures: give both domains one"):
        load.load(str(tmp_path / "y"), pairing="unpaired")
    (tmp_path / "empty").mkdir()
    two = [str(tmp_path / "x" / "A"), str(tmp_path / "empty")]
    for domain, data in (("B", "|".join(two)), ("A", "|".join(two[::-1]))):
        with pytest.raises(DataError, match=f"domain {domain}, .*empty: no pictures found"):
            load.load(data, pairing="unpaired")


def test_a_pair_file_in_an_unpaired_recipe(tmp_path: Path) -> None:
    for where in (halves(tmp_path / "a"), table(tmp_path / "b")):
        with pytest.raises(DataError, match=r"this recipe takes unpaired pictures: give two folde"):
            load.load(where, pairing="unpaired")


def test_two_folders_are_two(tmp_path: Path) -> None:
    a = folder(tmp_path / "a", "a", names(3))
    with pytest.raises(UsageError, match="3 folders: give two, as --data A/ B/"):
        load.load(f"{a}|{a}|{a}")
    (tmp_path / "x.npy").write_bytes(b"")
    with pytest.raises(DataError, match=r"x.npy: two domains are two folders or zips"):
        load.load(f"{a}|{tmp_path / 'x.npy'}")


def test_a_folder_of_classes_stays_one_without_a_pairing(tmp_path: Path) -> None:
    data = load.load(one_folder(tmp_path))
    assert data.source is None and data.class_names == ("A", "B") and data.spec.source is None
    assert not image_pairs.recognises(tmp_path, b"")


# --- packed and shown -----------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["halves", "domains"])
def test_a_packed_folder_is_what_it_was_made_from(form: str, tmp_path: Path) -> None:
    given, pairing = {
        "halves": (halves, "paired"),
        "domains": (domains, "unpaired"),
    }[form]
    where = given(tmp_path / "x")
    store = str(pack(where, tmp_path / "store", pairing=pairing))
    assert not list((tmp_path / "store").glob("*.tmp"))
    for part in load.PARTS:
        one, other = load.load(where, part=part, pairing=pairing), load.load(store, part=part)
        assert (one.sha256, one.spec, one.unpaired) == (other.sha256, other.spec, other.unpaired)
        assert np.array_equal(one.values, other.values)
        assert np.array_equal(one.source, other.source)
    small = load.load(store, size=4)
    assert small.values.shape[1:3] == small.source.shape[1:3] == (4, 4)
    assert small.spec.source.shape == (3, 4, 4)
    file = tmp_path / "store" / packed.SOURCE
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"source.npy: \d+ bytes where dataset.json says"):
        load.load(store)
    file.unlink()
    with pytest.raises(DiskError, match=r"source.npy: cannot be read"):
        load.load(store)


def test_packed_pairs_hide_in_an_unpaired_game(tmp_path: Path) -> None:
    store = str(pack(two_folders(tmp_path / "x"), tmp_path / "store"))
    train = load.load(store, pairing="unpaired")
    assert train.unpaired and train.sha256 != load.load(store).sha256
    check_pairs(load.load(store, part="test", pairing="unpaired"))


def test_a_library_of_pairs_hides_them_from_an_unpaired_game() -> None:
    values = np.zeros((40, 4, 4, 1), np.uint8)
    examples = Examples(values, source=values)
    for part, hidden in (("train", True), ("validation", False), ("test", False)):
        found = select(examples, "x", part, size=None, seed=0, pairing="unpaired")
        assert found.unpaired == hidden
        assert not select(examples, "x", part, size=None, seed=0, pairing="paired").unpaired


def test_pairs_are_shown_beside_each_other(tmp_path: Path) -> None:
    out = tmp_path / "grid.png"
    text = data_command.show(halves(tmp_path / "x"), pairing="paired", output=out)
    assert "sources      36 of 8 x 8 x 3, uint8, paired: one for each example" in text
    tiles = images.tiles(images.read_png(out)[::8, ::8], 8, 8)
    for left, right in zip(tiles[0:64:2], tiles[1:64:2], strict=True):
        assert left[0, 0, 0] == 10 and right[0, 0, 0] == 200
        assert left[-1, -1, 0] == right[-1, -1, 0]
    first, second = two_folders(tmp_path / "y").split("|")
    assert "36 of 8 x 8 x 3" in data_command.show(first, target=second, output=out)
    packed_text = data_command.pack(first, tmp_path / "store", target=second)
    assert "sources      36" in packed_text
    with pytest.raises(UsageError, match="pairing = 'pared': did you mean 'paired'"):
        data_command.show(first, pairing="pared")
    data = load.load(domains(tmp_path / "z"))
    assert dict(describe(data))["sources"] == "28 of 8 x 8 x 3, uint8, unpaired"
    assert "unpaired" in data_command.show(str(tmp_path / "z"), output=out)


def test_two_folders_after_data_are_one_name() -> None:
    words = ["train", "cyclegan", "--data", "A/", "B/", "--size", "64"]
    assert arguments.read(words) == ["train", "cyclegan", "--data", "A/|B/", "--size", "64"]
    for same in (["train", "dcgan", "--data", "A/"], ["train", "--data", "A/", "dcgan"],
                 ["train", "dcgan", "--data", "A/", "--size", "8"]):  # fmt: skip
        assert arguments.read(same) == same


@pytest.mark.parametrize("data", ["x/X|y/Y", "X/|Y/", "X|Y.zip", "X/|Y/@held_out=0.1"])
def test_two_folders_give_a_run_both_names(data: str) -> None:
    assert short_name(data) == "X-Y"
    assert default_folder(replace(recipes.cyclegan(), data=data)) == Path("runs/cyclegan-X-Y")


def test_one_domain_may_be_grey(tmp_path: Path) -> None:
    (tmp_path / "A").mkdir()
    for i, name in enumerate(names()):
        picture(i, "a", grey=True).save(tmp_path / "A" / name)
    folder(tmp_path / "B", "b", names())
    data = load.load(str(tmp_path), pairing="paired")
    assert data.spec == replace(data.spec, shape=(3, 8, 8)) and data.spec.source.shape == (1, 8, 8)
    assert numbers(data.source) == numbers(data.values)


@pytest.mark.parametrize("domains", ["trainA trainB", "train_A train_B", "Train-A Train-B"])
@pytest.mark.parametrize("other", ["", "test", "val"])
def test_parts_of_two_domains_under_the_names_that_people_give(
    tmp_path: Path, domains: str, other: str
) -> None:
    for name, letters in zip(domains.split(), "ab", strict=True):
        folder(tmp_path / name, letters, names(20))
        if other:
            folder(tmp_path / name.lower().replace("train", other), letters, names(5))
    data = load.load(str(tmp_path), pairing="unpaired")
    assert data.counts == (19, 1, 5) if other else (18, 1, 1)
    assert data.notes == ()


def test_pictures_of_neither_domain_are_counted(tmp_path: Path) -> None:
    for name in ("trainA", "trainB", "misc"):
        folder(tmp_path / name, "a", names(20))
    (note,) = load.load(str(tmp_path), pairing="unpaired").notes
    assert note.startswith("left out: 20 pictures of neither domain, as misc/")


def test_domains_of_other_lengths_say_how_they_are_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder(tmp_path / "d" / "trainA", "a", names(20))
    folder(tmp_path / "d" / "trainB", "b", names(10))
    words = ["data", "show", str(tmp_path / "d"), "-o", str(tmp_path / "a.png")]
    assert main(words) == 65
    assert "10 of 20 pictures have no partner" in capsys.readouterr().err
    assert main([*words, "--pairing", "unpaired"]) == 0
