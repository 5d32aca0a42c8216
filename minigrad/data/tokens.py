"""Texts as numbers: by characters, by words, or by pieces of words learned from a text.

Every tokenizer has ``encode(text) -> list of integers``, ``decode(integers) -> text``, ``len()``, and ``to_dict()`` /
``from_dict()``, plain data that a file can hold. Special tokens come first: 0 is always the padding.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from heapq import heapify, heappop, heappush
from itertools import pairwise
from typing import Any

import numpy as np

from ..errors import ArgumentError, DataError

PAD, UNKNOWN, START, END = "<pad>", "<unknown>", "<start>", "<end>"


class CharacterTokenizer:
    """One number per character, in the order of their codes. No special tokens unless asked for.

    >>> letters = CharacterTokenizer.of("hello")
    >>> letters.encode("hole"), letters.decode([1, 0, 2, 2, 3])
    ([1, 3, 2, 0], 'hello')
    """

    def __init__(self, characters: Sequence[str]):
        self.characters = list(characters)
        self.number = {c: i for i, c in enumerate(self.characters)}
        if len(self.number) != len(self.characters):
            raise ArgumentError("CharacterTokenizer: the characters must all be different.")

    @classmethod
    def of(cls, text: str | Iterable[str], special: Sequence[str] = ()) -> CharacterTokenizer:
        """The tokenizer that knows the characters of a text, or of several."""
        return cls([*special, *sorted(set("".join(text)))])

    def encode(self, text: str) -> list[int]:
        try:
            return [self.number[c] for c in text]
        except KeyError as error:
            unknown = self.number.get(UNKNOWN)
            if unknown is not None:
                return [self.number.get(c, unknown) for c in text]
            known = "".join(c for c in self.characters if len(c) == 1)
            raise DataError(f"encode: the character {error.args[0]!r} is not one of {known!r}.") from None

    def decode(self, numbers: Iterable[int]) -> str:
        return "".join(self.characters[i] for i in numbers)

    def __len__(self) -> int:
        return len(self.characters)

    def to_dict(self) -> dict[str, Any]:
        return {"characters": self.characters}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> CharacterTokenizer:
        return cls(state["characters"])


class WordTokenizer:
    """One number per word, for the most frequent words of some texts; the others are <unknown>.

    Words are what is between spaces; texts are expected in the case and with the spaces they should have.

    >>> words = WordTokenizer.of(["a b a", "a c"], size=4)
    >>> words.words, words.encode("c a b")
    (['<pad>', '<unknown>', 'a', 'b'], [1, 2, 3])
    """

    def __init__(self, words: Sequence[str]):
        self.words = list(words)
        self.number = {word: i for i, word in enumerate(self.words)}

    @classmethod
    def of(cls, texts: Iterable[str], size: int, *, at_least: int = 1) -> WordTokenizer:
        """size: how many tokens, the special ones included; at_least: how often a word must occur."""
        counts = Counter(word for text in texts for word in text.split())
        ranked = sorted(counts, key=lambda word: (-counts[word], word))  # ties by the alphabet
        return cls([PAD, UNKNOWN, *[word for word in ranked if counts[word] >= at_least][: size - 2]])

    def encode(self, text: str) -> list[int]:
        return [self.number.get(word, 1) for word in text.split()]

    def decode(self, numbers: Iterable[int]) -> str:
        return " ".join(self.words[i] for i in numbers if i)

    def __len__(self) -> int:
        return len(self.words)

    def to_dict(self) -> dict[str, Any]:
        return {"words": self.words}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> WordTokenizer:
        return cls(state["words"])


class BytePairTokenizer:
    """Pieces of words, learned: starting from characters, the most frequent pair of neighbours becomes one piece, again
    and again (Sennrich, Haddow, Birch 2016, arXiv:1508.07909). A word begins with its space: none gets lost.

    >>> pieces = BytePairTokenizer.train(["low lower lowest new newest"] * 3, size=24)
    >>> pieces.decode(pieces.encode("lower newest low"))
    'lower newest low'
    """

    SPECIAL = (PAD, UNKNOWN, START, END)
    SPLIT = re.compile(r" ?\w+| ?[^\w\s]+|\s+")  # words and runs of signs, each with the space before it

    def __init__(self, pieces: Sequence[str], merges: Sequence[Sequence[str]]):
        self.pieces, self.merges = list(pieces), [tuple(pair) for pair in merges]
        self.number = {piece: i for i, piece in enumerate(self.pieces)}
        self.rank = {pair: i for i, pair in enumerate(self.merges)}
        self._known: dict[str, list[int]] = {}  # words already taken apart

    @classmethod
    def train(cls, texts: Iterable[str], size: int) -> BytePairTokenizer:
        """Learn merges until there are `size` tokens, or no pair occurs twice."""
        counts = Counter(word for text in texts for word in cls.SPLIT.findall(text))
        words = [(list(word), n) for word, n in counts.items()]
        pieces = [*cls.SPECIAL, *sorted({c for word, _ in words for c in word})]
        if size < len(pieces):
            raise ArgumentError(f"BytePairTokenizer: size must be at least {len(pieces)}, all characters: got {size}.")
        pairs: Counter[tuple[str, str]] = Counter()
        where: dict[tuple[str, str], set[int]] = {}  # the words that hold a pair, or once did
        for i, (word, n) in enumerate(words):
            for pair in pairwise(word):
                pairs[pair] += n
                where.setdefault(pair, set()).add(i)
        queue = [(-n, pair) for pair, n in pairs.items()]  # most frequent first, ties by the alphabet
        heapify(queue)
        merges = []
        while len(pieces) < size and queue:
            n, best = heappop(queue)
            if -n != pairs[best]:
                continue  # out of date: its count has changed since
            if n > -2:
                break
            merges.append(best)
            pieces.append(best[0] + best[1])
            changed = set()
            for i in where.pop(best):
                word, n = words[i]
                merged = _merged(word, best)
                for pair in pairwise(word):
                    pairs[pair] -= n
                    changed.add(pair)
                for pair in pairwise(merged):
                    pairs[pair] += n
                    changed.add(pair)
                    where.setdefault(pair, set()).add(i)
                words[i] = (merged, n)
            for pair in changed - {best}:
                heappush(queue, (-pairs[pair], pair))
        return cls(pieces, merges)

    def encode(self, text: str) -> list[int]:
        return [number for word in self.SPLIT.findall(text) for number in self._word(word)]

    def _word(self, text: str) -> list[int]:
        if text not in self._known:
            word = list(text)
            while len(word) > 1:
                first = min(pairwise(word), key=lambda pair: self.rank.get(pair, len(self.merges)))
                if first not in self.rank:
                    break
                word = _merged(word, first)
            self._known[text] = [self.number.get(piece, 1) for piece in word]
        return self._known[text]

    def decode(self, numbers: Iterable[int]) -> str:
        return "".join(self.pieces[i] for i in numbers if i >= len(self.SPECIAL))

    def __len__(self) -> int:
        return len(self.pieces)

    def to_dict(self) -> dict[str, Any]:
        return {"pieces": self.pieces, "merges": [list(pair) for pair in self.merges]}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> BytePairTokenizer:
        return cls(state["pieces"], state["merges"])


def _merged(word: list[str], pair: tuple[str, str]) -> list[str]:
    """The word with every occurrence of the pair, from the left, made one piece."""
    result, i = [], 0
    while i < len(word):
        if i + 1 < len(word) and word[i] == pair[0] and word[i + 1] == pair[1]:
            result.append(word[i] + word[i + 1])
            i += 2
        else:
            result.append(word[i])
            i += 1
    return result


def padded(sequences: Sequence[Sequence[int]], length: int | None = None, value: int = 0) -> np.ndarray:
    """Sequences of different lengths as one array (B, T), int64: filled up with `value`, cut at `length`.

    >>> padded([[1, 2, 3], [4]])
    array([[1, 2, 3],
           [4, 0, 0]])
    """
    longest = max(map(len, sequences), default=0) if length is None else length
    result = np.full((len(sequences), longest), value, np.int64)
    for row, sequence in zip(result, sequences):
        row[: len(sequence)] = sequence[:longest]
    return result
