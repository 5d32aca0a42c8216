"""Tokenizers: what goes in comes out, whatever the text; merges as the definition says; files hold them."""

import json
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigrad.data import BytePairTokenizer, CharacterTokenizer, WordTokenizer
from minigrad.data.tokens import UNKNOWN, padded
from minigrad.errors import ArgumentError, DataError

TEXT = "low lower lowest new newer newest wide wider widest"


def slowly_trained(texts, size):
    """Pair merging as its definition reads: count all pairs, merge the most frequent, start again."""
    words = Counter(word for text in texts for word in BytePairTokenizer.SPLIT.findall(text))
    pieces = {word: list(word) for word in words}
    known, merges = [*BytePairTokenizer.SPECIAL, *sorted({c for word in words for c in word})], []
    while len(known) < size:
        counts = Counter()
        for word, n in words.items():
            for pair in pairwise(pieces[word]):
                counts[pair] += n
        if not counts or max(counts.values()) < 2:
            break
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        merges.append(best)
        known.append("".join(best))
        for word, parts in pieces.items():
            merged, i = [], 0
            while i < len(parts):
                both = tuple(parts[i : i + 2]) == best
                merged.append("".join(parts[i : i + 1 + both]))
                i += 1 + both
            pieces[word] = merged
    return known, merges


@given(st.lists(st.text("abcd ", max_size=30), min_size=1, max_size=6), st.integers(0, 40))
def test_byte_pair_merges_are_those_of_the_definition(texts, more):
    size = 9 + more
    tokenizer = BytePairTokenizer.train(texts, size)
    pieces, merges = slowly_trained(texts, size)
    assert tokenizer.merges == merges
    assert tokenizer.pieces == pieces


@given(st.text("lowernstid ", max_size=60))
def test_byte_pairs_lose_nothing(text):
    tokenizer = BytePairTokenizer.train([TEXT + " "] * 2, 40)
    assert tokenizer.decode(tokenizer.encode(text)) == text


@given(st.text(max_size=40))
def test_any_text_comes_back_where_its_characters_are_known(text):
    tokenizer = BytePairTokenizer.train([text, TEXT], 500)
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert max(tokenizer.encode(text), default=0) < len(tokenizer)


def test_a_frequent_word_is_one_piece_and_a_strange_character_is_unknown():
    tokenizer = BytePairTokenizer.train(["the cat and the dog and the cow"] * 4, 60)
    assert len(tokenizer.encode(" the")) == 1
    assert tokenizer.encode("ж") == [tokenizer.number[UNKNOWN]] == [1]
    assert tokenizer.decode([0, 1, 2, 3]) == ""  # the special tokens are no text


def test_byte_pairs_need_room_for_all_characters():
    with pytest.raises(ArgumentError, match="size must be at least 30, all characters: got 12"):
        BytePairTokenizer.train(["abcdefghijklmnopqrstuvwxyz"], 12)


@pytest.mark.parametrize("length", [1, 5, 9])
def test_training_stops_where_no_pair_occurs_twice(length):
    text = "abcdefghi"[:length]
    tokenizer = BytePairTokenizer.train([text], 1000)
    assert tokenizer.merges == [] and len(tokenizer) == 4 + length


def test_characters_in_the_order_of_their_codes():
    tokenizer = CharacterTokenizer.of(["hello", "world"])
    assert tokenizer.characters == sorted(set("helloworld"))
    assert tokenizer.decode(tokenizer.encode("hold her".replace(" ", ""))) == "holdher"


def test_an_unknown_character_is_an_error_that_names_it_unless_there_is_a_token_for_it():
    with pytest.raises(DataError, match="character 'z' is not one of 'ab'"):
        CharacterTokenizer.of("ab").encode("az")
    assert CharacterTokenizer.of("ab", special=[UNKNOWN]).encode("az") == [1, 0]
    with pytest.raises(ArgumentError, match="must all be different"):
        CharacterTokenizer(["a", "a"])


def test_words_by_how_often_they_occur_then_by_the_alphabet():
    words = WordTokenizer.of(["b a b", "c a d"], size=5)
    assert words.words == ["<pad>", "<unknown>", "a", "b", "c"]
    assert words.encode("a d b") == [2, 1, 3]
    assert words.decode([2, 0, 3, 0]) == "a b"
    assert WordTokenizer.of(["b a b", "c a d"], size=9, at_least=2).words[2:] == ["a", "b"]


@pytest.mark.parametrize(
    "tokenizer",
    [CharacterTokenizer.of(TEXT), WordTokenizer.of([TEXT], 9), BytePairTokenizer.train([TEXT], 40)],
    ids=lambda tokenizer: type(tokenizer).__name__,
)
def test_a_file_holds_a_tokenizer(tokenizer):
    again = type(tokenizer).from_dict(json.loads(json.dumps(tokenizer.to_dict())))
    assert len(again) == len(tokenizer)
    assert again.encode(TEXT) == tokenizer.encode(TEXT)
    assert again.decode(again.encode(TEXT)) == tokenizer.decode(tokenizer.encode(TEXT))


@given(st.lists(st.lists(st.integers(1, 9), max_size=7), max_size=5), st.none() | st.integers(0, 9))
def test_padded_rows_hold_their_sequences(sequences, length):
    rows = padded(sequences, length, value=-1)
    longest = max(map(len, sequences), default=0) if length is None else length
    assert rows.shape == (len(sequences), longest) and rows.dtype == np.int64
    for row, sequence in zip(rows, sequences):
        kept = sequence[:longest]
        np.testing.assert_array_equal(row, kept + [-1] * (longest - len(kept)))
