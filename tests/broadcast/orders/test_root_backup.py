"""The root key on paper: it comes back with its passphrase, and a typing mistake is shown by its line."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loa.broadcast.orders import root_backup
from loa.codecs.human_text import ALPHABET
from loa.codecs.signed import SigningKey
from loa.errors import ConfigError

PASSPHRASE = "Đường về Cát Hải mùa nước lớn"
CHEAP = 4
ROOT = SigningKey(bytes(range(32)))
BACKUP = root_backup.seal(ROOT, PASSPHRASE, log2_n=CHEAP)


def test_the_key_comes_back_at_the_true_cost() -> None:
    text = root_backup.seal(ROOT, PASSPHRASE)
    assert ROOT.seed.hex() not in text
    assert max(len(line) for line in text.splitlines()) <= 40
    assert root_backup.open_backup(text, PASSPHRASE).seed == ROOT.seed


def test_two_backups_of_one_key_share_nothing_but_its_form() -> None:
    assert root_backup.seal(ROOT, PASSPHRASE, log2_n=CHEAP) != BACKUP


def test_a_passphrase_is_the_same_however_its_letters_are_composed() -> None:
    apart = unicodedata.normalize("NFD", PASSPHRASE)
    assert apart != PASSPHRASE
    assert root_backup.open_backup(BACKUP, f" {apart}\n").seed == ROOT.seed


@given(st.data())
def test_it_is_read_as_people_copy_it(data: st.DataObject) -> None:
    lines = data.draw(st.permutations(BACKUP.splitlines()))
    copied = []
    for line in lines:
        typed = "".join(
            data.draw(st.sampled_from({"1": "1Il", "0": "0oO"}.get(c, c + c.lower()))) if c in ALPHABET else c
            for c in line.partition(":")[2]
        )
        copied.append(line.partition(":")[0] + ":" + typed.replace("-", data.draw(st.sampled_from(("-", " ", "")))))
    between = data.draw(st.sampled_from(("\n", "\r\n", "\n\n# cất trong két\n")))
    assert root_backup.open_backup("KHÓA GỐC\n" + between.join(copied), PASSPHRASE).seed == ROOT.seed


@given(st.data())
def test_a_wrong_character_is_shown_by_its_line(data: st.DataObject) -> None:
    places = [match.start() for match in re.finditer(r"(?<=[-: ])?[0-9A-Z](?=[-0-9A-Z ])", BACKUP)]
    places = [at for at in places if BACKUP.rfind(":", 0, at) > BACKUP.rfind("\n", 0, at)]
    at = data.draw(st.sampled_from(places))
    other = data.draw(st.sampled_from([c for c in ALPHABET if c != BACKUP[at]]))
    wrong = BACKUP[:at] + other + BACKUP[at + 1 :]
    with pytest.raises(ConfigError) as caught:
        root_backup.open_backup(wrong, PASSPHRASE)
    line = BACKUP.count("\n", 0, at) + 1
    # Two characters of check let one mistake in a thousand pass; what is sealed then does not open.
    assert f"line {line} of the backup has a typing mistake" in str(caught.value) or "passphrase" in str(
        caught.value
    )


def test_almost_every_single_mistake_is_shown_by_its_line() -> None:
    missed = 0
    line = BACKUP.splitlines()[0]
    for at in range(3, line.index(" =")):
        for other in ALPHABET:
            if line[at] in ("-", other):
                continue
            wrong = line[:at] + other + line[at + 1 :] + BACKUP[len(line) :]
            with pytest.raises(ConfigError) as caught:
                root_backup.open_backup(wrong, PASSPHRASE)
            missed += "line 1 " not in str(caught.value)
    assert missed <= 5, f"{missed} of 620"


def test_two_characters_in_the_wrong_order_are_shown() -> None:
    line = BACKUP.splitlines()[1]
    at = next(i for i in range(3, 20) if line[i] != line[i + 1] and "-" not in line[i : i + 2])
    swapped = line[:at] + line[at + 1] + line[at] + line[at + 2 :]
    with pytest.raises(ConfigError, match="line 2 of the backup has a typing mistake"):
        root_backup.open_backup(BACKUP.replace(line, swapped), PASSPHRASE)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "line 1 of the backup is missing"),
        (BACKUP.partition("\n")[2], "line 1 of the backup is missing"),
        (BACKUP.replace("\n7: ", "\n8: "), "typing mistake"),
        (BACKUP.replace("1: ", "1: U", 1), "is not one of"),
        (BACKUP.replace("1: ", "1: Đ", 1), "no letters but A to Z"),
    ],
)
def test_what_is_no_backup_is_said_in_words(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        root_backup.open_backup(text, PASSPHRASE)


def test_a_line_of_another_backup_is_not_taken() -> None:
    other = root_backup.seal(SigningKey.generate(), PASSPHRASE, log2_n=CHEAP)
    mixed = other.splitlines()[:3] + BACKUP.splitlines()[3:]
    with pytest.raises(ConfigError, match="passphrase"):
        root_backup.open_backup("\n".join(mixed), PASSPHRASE)


@pytest.mark.parametrize("wrong", ["", PASSPHRASE.lower(), PASSPHRASE + "!"])
def test_another_passphrase_opens_nothing(wrong: str) -> None:
    with pytest.raises(ConfigError, match="passphrase"):
        root_backup.open_backup(BACKUP, wrong)


def test_a_short_passphrase_is_refused() -> None:
    with pytest.raises(ConfigError, match="12"):
        root_backup.seal(ROOT, "   elevenchars   ", log2_n=CHEAP)


def test_a_cost_that_would_take_the_machine_down_is_refused() -> None:
    huge = root_backup._lines(bytes((1, 60)) + bytes(84))
    with pytest.raises(ConfigError, match="not known here"):
        root_backup.open_backup(huge, PASSPHRASE)


@given(st.text(max_size=200))
def test_any_text_is_a_clear_error(text: str) -> None:
    with pytest.raises(ConfigError):
        root_backup.open_backup(text, PASSPHRASE)
