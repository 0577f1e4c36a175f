import logging

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from stargan_rt import InputError
from stargan_rt.images import write_image
from training.data.open import open_dataset


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("STARGAN_RT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def picture(path, random, size=(218, 178)):
    pixels = random.integers(0, 256, (*size, 3), np.uint8)
    write_image(path, pixels)
    return pixels


ATTRIBUTES = ("Black_Hair", "Blond_Hair", "Male", "Young")


@pytest.fixture
def celeba(tmp_path, random):
    """A CelebA of six images, in the layout of the published archive."""
    root = tmp_path / "celeba"
    values = random.integers(0, 2, (6, 4))
    lines = ["6", " ".join(ATTRIBUTES) + " "]
    for number in range(6):
        name = f"{number + 1:06d}.jpg"
        picture(root / "img_align_celeba" / name, random)
        lines.append(f"{name} " + " ".join(f"{2 * v - 1:2d}" for v in values[number]))
    (root / "list_attr_celeba.txt").write_text("\n".join(lines) + "\n")
    parts = "".join(f"{n + 1:06d}.jpg {[0, 0, 0, 1, 2, 2][n]}\n" for n in range(6))
    (root / "list_eval_partition.txt").write_text(parts)
    return root, values


def test_celeba_as_published(celeba):
    root, values = celeba
    data = open_dataset(f"celeba:{root}", 32)
    assert data.name == "CelebA"
    assert data.names == ATTRIBUTES
    assert data.groups == {"hair": ("Black_Hair", "Blond_Hair")}
    assert data.images.shape == (3, 32, 32, 3)
    np.testing.assert_array_equal(data.labels, values[:3])
    chosen = open_dataset(f"celeba:{root}?labels=Young,Male&split=test&name=faces", 32)
    assert (chosen.name, chosen.names, len(chosen.images)) == ("faces", ("Young", "Male"), 2)
    np.testing.assert_array_equal(chosen.labels, values[4:, [3, 2]])
    (root / "list_eval_partition.txt").unlink()
    assert len(open_dataset(f"celeba:{root}", 32).images) == 6


def test_images_are_cropped_in_the_middle_before_they_are_resized(celeba, tmp_path):
    root, _ = celeba
    framed = np.zeros((218, 178, 3), np.uint8)
    framed[20:198] = 255  # what a 178x178 crop of the middle leaves
    write_image(root / "img_align_celeba" / "000001.png", framed)
    (root / "img_align_celeba" / "000001.png").rename(root / "img_align_celeba" / "000001.jpg")
    assert (open_dataset(f"celeba:{root}", 32).images[0] == 255).all()
    assert (open_dataset(f"celeba:{root}?crop=0", 32).images[0] == 255).all()
    inner = np.zeros((218, 178, 3), np.uint8)
    inner[59:159, 39:139] = 255
    write_image(tmp_path / "inner.png", inner)
    (tmp_path / "inner.png").rename(root / "img_align_celeba" / "000001.jpg")
    assert (open_dataset(f"celeba:{root}?crop=100", 32).images[0] == 255).all()


def test_unknown_attributes_list_the_known_ones(celeba):
    root, _ = celeba
    with pytest.raises(InputError, match=r"no label Beard; it has: Black_Hair, Blond_Hair, Male, Young"):
        open_dataset(f"celeba:{root}?labels=Beard", 32)
    with pytest.raises(InputError, match="split of celeba must be train, val, test or all; got 'dev'"):
        open_dataset(f"celeba:{root}?split=dev", 32)
    with pytest.raises(InputError, match="crop of data set celeba must be a whole number"):
        open_dataset(f"celeba:{root}?crop=x", 32)


def test_damaged_celeba_files_are_named(celeba):
    root, _ = celeba
    with (root / "list_attr_celeba.txt").open("a") as file:
        file.write("000007.jpg 1 -1\n")
    with pytest.raises(InputError, match=r"the line of 000007\.jpg has 2 values, not 4"):
        open_dataset(f"celeba:{root}", 32)
    (root / "list_attr_celeba.txt").unlink()
    with pytest.raises(InputError, match=r"can't read .*list_attr_celeba\.txt"):
        open_dataset(f"celeba:{root}", 32)


def test_corrupt_images_are_named_counted_and_left_out(celeba, caplog):
    root, values = celeba
    (root / "img_align_celeba" / "000002.jpg").write_text("not a picture")
    with caplog.at_level(logging.WARNING):
        data = open_dataset(f"celeba:{root}", 32)
    assert len(data.images) == 2
    np.testing.assert_array_equal(data.labels, values[[0, 2]])
    assert "000002.jpg" in caplog.text
    assert "1 of 3 images can't be read" in caplog.text


def test_the_cache_serves_until_a_file_changes(celeba, random, cache):
    root, _ = celeba
    first = np.array(open_dataset(f"celeba:{root}", 32).images)
    stored = sorted((cache / "images").glob("*.u8"))
    np.testing.assert_array_equal(open_dataset(f"celeba:{root}", 32).images, first)
    assert sorted((cache / "images").glob("*.u8")) == stored
    picture(root / "img_align_celeba" / "000001.jpg", random)
    changed = open_dataset(f"celeba:{root}", 32).images
    assert (changed[0] != first[0]).any()
    np.testing.assert_array_equal(changed[1:], first[1:])


def test_one_folder_a_domain(tmp_path, random):
    for name, count in (("happy", 2), ("angry", 3)):
        for number in range(count):
            picture(tmp_path / "rafd" / name / "deep" / f"{number}.png", random, (40, 60))
    data = open_dataset(f"folder:{tmp_path / 'rafd'}?name=RaFD", 32)
    assert data.names == ("angry", "happy")
    assert data.one_of_k
    assert data.groups == {"RaFD": ("angry", "happy")}
    assert data.labels.tolist() == [[1, 0]] * 3 + [[0, 1]] * 2
    (tmp_path / "rafd" / "sad").mkdir()
    with pytest.raises(InputError, match=r"no images in .*sad"):
        open_dataset(f"folder:{tmp_path / 'rafd'}", 32)
    with pytest.raises(InputError, match="has 1 subfolders; expected one for each domain"):
        open_dataset(f"folder:{tmp_path / 'rafd' / 'happy'}", 32)
    with pytest.raises(InputError, match=r"no data set at .*nowhere"):
        open_dataset(f"folder:{tmp_path / 'nowhere'}", 32)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_tables(tmp_path, random, suffix):
    for name in "abc":
        picture(tmp_path / f"{name}.png", random, (40, 40))
    columns = {"path": ["a.png", "b.png", "c.png"], "smiling": [1, 0, 1], "glasses": [0, 0, 1]}
    table = pyarrow.table(columns)
    file = tmp_path / f"faces.{suffix}"
    if suffix == "csv":
        rows = zip(*columns.values(), strict=True)
        file.write_text("\n".join([",".join(columns), *(",".join(map(str, row)) for row in rows)]))
    else:
        pyarrow.parquet.write_table(table, file)
    data = open_dataset(f"table:{file}", 32)
    assert data.names == ("smiling", "glasses")
    assert data.labels.tolist() == [[1, 0], [0, 0], [1, 1]]
    assert not data.one_of_k
    assert open_dataset(f"table:{file}?labels=glasses", 32).labels.tolist() == [[0], [0], [1]]
    with pytest.raises(InputError, match="no label beard; it has: smiling, glasses"):
        open_dataset(f"table:{file}?labels=beard", 32)
    with pytest.raises(InputError, match=r"no column 'file' of paths; it has path, smiling, glasses"):
        open_dataset(f"table:{file}?path=file", 32)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,x\na.png,maybe", "row 1: x is 'maybe'; expected 0 or 1"),
        ("path,x\na.png", "rows of different lengths"),
        ("path,x", "has no rows"),
        ("path\na.png", "has no labels"),
    ],
)
def test_damaged_tables_are_refused(tmp_path, text, message):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        open_dataset(f"table:{tmp_path / 't.csv'}", 32)


def test_a_table_of_one_of_k_is_found_out(tmp_path, random):
    for name in "ab":
        picture(tmp_path / f"{name}.png", random, (40, 40))
    (tmp_path / "t.csv").write_text("path,happy,sad\na.png,1,0\nb.png,0,1\n")
    data = open_dataset(f"table:{tmp_path / 't.csv'}", 32)
    assert data.one_of_k
    assert data.groups == {"table": ("happy", "sad")}


def test_nothing_but_unreadable_images_is_an_error(tmp_path):
    (tmp_path / "t.csv").write_text("path,happy\na.png,1\n")
    with pytest.raises(InputError, match="none of 1 images can be read"):
        open_dataset(f"table:{tmp_path / 't.csv'}", 32)


def test_avatars_with_some_of_their_labels():
    data = open_dataset("avatars?count=6&labels=happy,sad,angry,Blond_Hair&name=a&seed=3", 32)
    assert data.name == "a"
    assert data.groups == {"expression": ("angry", "happy", "sad")}
    assert data.labels.shape == (6, 4)
    whole = open_dataset("avatars?count=6&seed=3", 32)
    np.testing.assert_array_equal(data.labels[:, 0], whole.labels[:, whole.names.index("happy")])
    np.testing.assert_array_equal(data.images, whole.images)
    expressions = "angry,contemptuous,disgusted,fearful,happy,neutral,sad,surprised"
    assert open_dataset(f"avatars?count=6&labels={expressions}", 32).one_of_k
    with pytest.raises(InputError, match="avatars have no label Hat; they have: Black_Hair"):
        open_dataset("avatars?count=6&labels=Hat", 32)
    with pytest.raises(InputError, match="unknown avatar style"):
        open_dataset("avatars?count=6&style=oil", 32)
