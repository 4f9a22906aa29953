"""Writing and reading files: folders are tried, texts are kept, sizes are bounded."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import os
import re
import tomllib
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import saem
from saem.data import read_table, reading
from saem.errors import DataError, StorageError
from saem.system import files
from saem.system.display import plain, printable, table
from saem.system.files import make_folder, write_csv, write_parquet

ODD = ["\rCCCP", "a\nb", 'say "no"', "=HYPERLINK(1)", "x,y", "\x1b[31m", " "]


def test_levels_of_any_kind_come_back_from_a_csv_file(tmp_path):
    """Also to those who read it by the rules of RFC 4180 alone."""
    rows = pd.DataFrame({"level": ODD, "y": range(len(ODD)), "z\r": [1.5, None] * 3 + [2.0]})
    write_csv(rows, tmp_path / "t.csv", index=False)
    back = read_table(tmp_path / "t.csv")
    assert back["level"].tolist() == ODD and back["y"].tolist() == rows["y"].tolist()
    with (tmp_path / "t.csv").open(newline="") as stream:
        assert [row[0] for row in csv.reader(stream)] == ["level", *ODD]


def test_texts_are_quoted_only_where_they_need_it(tmp_path):
    write_csv(pd.DataFrame({"f": ["a", "b c"], "y": [1.0, None]}), tmp_path / "t.csv", index=False)
    assert (tmp_path / "t.csv").read_text() == "f,y\na,1.0\nb c,\n"
    write_csv(pd.DataFrame({"y": [1]}, index=pd.Index(["\r"], name="k")), tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_bytes() == b'"k","y"\n"\r",1\n'


def test_a_folder_that_cannot_be_written_is_refused(tmp_path, monkeypatch):
    make_folder(tmp_path / "new" / "one")
    assert list((tmp_path / "new" / "one").iterdir()) == []

    def refused(*arguments, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(files.tempfile, "TemporaryFile", refused)
    with pytest.raises(StorageError, match=r"nothing can be written to folder .*one: Permission denied"):
        make_folder(tmp_path / "new" / "one")


def test_a_table_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "t.parquet"
    path.write_bytes(b"old")

    def full(self, *arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_parquet", full)
    with pytest.raises(StorageError, match="No space left on device"):
        write_parquet(pd.DataFrame({"a": [1]}), path)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


# What is read


@pytest.fixture
def small(monkeypatch):
    """Bounds that a test reaches soon."""
    monkeypatch.setattr(reading, "MAX_BYTES", 200_000)
    monkeypatch.setattr(reading, "MAX_FIELDS", 10_000)
    monkeypatch.setattr(reading, "MAX_HEADER", 5_000)


@pytest.mark.parametrize("suffix", ["", ".gz", ".bz2"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a,b\n" + b"1,2\n" * 20_000, r"more than 10,000 fields; keep the columns"),
        (b"a\n" + b"9" * 300_000, r"more than 0 MB of text"),
        (b"a," * 10_000, r"the first line of .* is longer than"),
    ],
)
def test_a_table_that_unpacks_to_too_much(tmp_path, small, suffix, content, message):
    path = tmp_path / f"t.csv{suffix}"
    path.write_bytes({"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress}[suffix](content))
    with pytest.raises(DataError, match=message):
        read_table(path)


@pytest.mark.parametrize(
    ("rows", "text", "message"),
    [(20_000, "a", "more than 10,000 fields"), (2_000, "x" * 1_000, "unpacks to more than")],
)
def test_a_parquet_file_that_unpacks_to_too_much(tmp_path, small, rows, text, message):
    """A text that is stored once and stands in every row."""
    column = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), [text])
    pq.write_table(pa.table({"a": column}), tmp_path / "t.parquet", store_schema=False)
    assert (tmp_path / "t.parquet").stat().st_size < 5_000
    with pytest.raises(DataError, match=message):
        read_table(tmp_path / "t.parquet")


def test_a_small_parquet_file_is_read(tmp_path, small):
    pd.DataFrame({"a": ["x" * 500] * 300, "y": [1.0] * 300}).to_parquet(tmp_path / "t.parquet")
    assert read_table(tmp_path / "t.parquet").shape == (300, 2)


def test_what_is_no_file(tmp_path):
    with pytest.raises(DataError, match="is a folder"):
        read_table(tmp_path)
    with pytest.raises(DataError, match="device or a pipe"):
        read_table(os.devnull)
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(DataError, match="device or a pipe"):
        read_table(tmp_path / "pipe.csv")
    (tmp_path / "t.zip").write_bytes(b"PK")
    with pytest.raises(DataError, match="is an archive; unpack it first"):
        read_table(tmp_path / "t.zip")


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz"])
def test_a_packed_file_that_is_cut_off(tmp_path, suffix):
    packed = gzip.compress(b"a,b\n" + bytes(range(256)) * 50)[:400]
    (tmp_path / f"t.csv{suffix}").write_bytes(packed)
    with pytest.raises(DataError, match="cannot be read"):
        read_table(tmp_path / f"t.csv{suffix}")


def test_a_parquet_file_brings_no_attributes(tmp_path):
    rows = pd.DataFrame({"a": ["x", "y"]})
    rows.attrs = {"saem_text_of_numbers": ["a"], "saem_rows_of_file": 3}
    rows.to_parquet(tmp_path / "t.parquet")
    assert set(read_table(tmp_path / "t.parquet").attrs) == {"saem_rows_of_file"}


# What is printed


def test_nothing_that_is_printed_is_an_order_to_a_terminal():
    assert printable("a\x1b[31mb\r\x00\x85\u202e\u2028é\u00a0µ") == "a\\x1b[31mb\\r\\x00\\x85\\u202e\\u2028é\u00a0µ"
    assert printable("two\nlines") == "two\nlines" and printable("two\nlines", keep="") == "two\\nlines"
    text = plain(table(["\x1bname", "y"], [["a\r\nb", "1"]]), "\x07bell")
    assert "\\x1bname" in text and "a\\r\\nb" in text and "\\x07bell" in text
    assert all(c.isprintable() or c == "\n" for c in text)
    assert printable(io.StringIO("\udc80").read()) == "\\udc80"


# What is advised


def test_only_packages_that_the_project_needs_are_advised():
    """A name that nobody has reserved at the package index, such as the project's own, may become anybody's."""
    root = Path(saem.__file__).parents[1]
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    needed = [*project["dependencies"], *(each for part in project["optional-dependencies"].values() for each in part)]
    known = {re.match(r"[\w-]+", each)[0] for each in needed} - {project["name"]}
    pages = [path for name in ("saem", "experiments", "docs") for path in (root / name).rglob("*.*")]
    pages = [path for path in [*pages, root / "README.md"] if path.suffix in (".py", ".md", ".html", ".toml")]
    advised = [
        word
        for path in pages
        for line in re.findall(r"pip install ((?:[\w-]+ ?)+|\S+)", path.read_text(encoding="utf-8"))
        for word in line.split()
    ]
    assert len(advised) > 5
    ordinary = {"or", "in", "a", "clone", "adds", "gives", "the"}
    assert [word for word in advised if word not in known | ordinary and not word.strip("`'\"").startswith(".")] == []
