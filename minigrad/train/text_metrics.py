"""Figures of texts: how near translations and summaries come to what people wrote."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import ArgumentError, ShapeError
from .metrics import Mean, Metric

# A sentence: its text, or its words.
Sentence = str | Sequence[str]


def mt_words(text: str) -> list[str]:
    """The words and signs of a text as WMT's mteval-v13a splits them, sacrebleu's tokenizer "13a"; the case stays.

    >>> mt_words("A dog's 1,000.5 km-walk, at last.")
    ['A', 'dog', "'s", '1,000.5', 'km-walk', ',', 'at', 'last', '.']
    """
    text = text.replace("<skipped>", "").replace("-\n", "").replace("\n", " ")
    if "&" in text:
        for name, sign in (("&quot;", '"'), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">")):
            text = text.replace(name, sign)
    text = re.sub(r"([\{-\~\[-\` -\&\(-\+\:-\@\/])", r" \1 ", f" {text} ")
    text = re.sub(r"([^0-9])([\.,])", r"\1 \2 ", text)  # full stop and comma, but within numbers
    text = re.sub(r"([\.,])([^0-9])", r" \1 \2", text)
    return re.sub(r"([0-9])(-)", r"\1 \2 ", text).split()
