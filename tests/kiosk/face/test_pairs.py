"""Lists of pairs: what is read, what is refused by its line, and who is who."""

from __future__ import annotations

from pathlib import Path

import pytest

from kiosk.face.pairs import BadList, Pair, people_in, read_labels, read_pairs, sha256_of

A, B, C, D, E = (Path(name) for name in "abcde")


def listed(path: Path, text: str) -> Path:
    file = path / "pairs.csv"
    file.write_text(text, encoding="utf-8")
    return file


def test_pairs_are_read_with_paths_relative_to_the_list(tmp_path: Path) -> None:
    file = listed(tmp_path, "\ufeffimg1,img2,same,note\na.png,sub/b.png,1,x\nb.png,/c.png,no,\n")
    assert read_pairs(file) == [
        Pair(tmp_path / "a.png", tmp_path / "sub" / "b.png", True),
        Pair(tmp_path / "b.png", Path("/c.png"), False),
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no column img1, img2, same"),
        ("img1,img2\na,b\n", "no column same"),
        ("img1,img2,same\n", "no pairs"),
        ("img1,img2,same\na,b,1\na,b,maybe\n", "line 3: `same`"),
        ("img1,img2,same\na,,1\n", "line 2"),
        ("img1,img2,same\na\n", "line 2"),
    ],
)
def test_a_list_that_is_not_as_it_should_be_is_refused_by_its_line(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(BadList, match=says):
        read_pairs(listed(tmp_path, text))
    assert read_pairs(listed(tmp_path, "img1,img2,same\na,b,1\n"))  # the control


def test_what_is_no_list_at_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadList, match="cannot be read"):
        read_pairs(tmp_path / "absent.csv")
    (tmp_path / "picture.csv").write_bytes(b"\xff\xd8\xff\xe0img1")
    with pytest.raises(BadList, match="no CSV"):
        read_pairs(tmp_path / "picture.csv")


def test_labels_are_read(tmp_path: Path) -> None:
    file = listed(tmp_path, "img,group\na.png, one \nb.png,two\n")
    assert read_labels(file) == {tmp_path / "a.png": "one", tmp_path / "b.png": "two"}
    with pytest.raises(BadList, match="line 2: a group"):
        read_labels(listed(tmp_path, f"img,group\na.png,{'x' * 65}\n"))


def test_pictures_that_pairs_link_show_one_person() -> None:
    people = people_in([Pair(A, B, True), Pair(C, B, True), Pair(D, A, False), Pair(E, D, False)])
    assert people[A] == people[B] == people[C]
    assert len({people[A], people[D], people[E]}) == 3


def test_pairs_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(BadList, match="pair 3"):
        people_in([Pair(A, B, True), Pair(B, C, True), Pair(A, C, False)])
    people_in([Pair(A, B, True), Pair(C, D, True), Pair(A, C, False)])  # the control


def test_a_list_s_hash_is_of_what_the_pictures_show(tmp_path: Path) -> None:
    one, other, third = (tmp_path / name for name in ("1", "2", "3"))
    one.write_bytes(b"one")
    other.write_bytes(b"other")
    pairs = [Pair(one, other, True), Pair(other, one, False)]
    before = sha256_of(pairs, {})
    one.rename(third)
    renamed = [Pair(other, third, False), Pair(third, other, True)]
    assert sha256_of(renamed, {}) == before
    assert sha256_of(renamed, {third: "group"}) != before
    assert sha256_of([Pair(third, other, True)], {}) != before
    third.write_bytes(b"another")
    assert sha256_of(renamed, {}) != before
