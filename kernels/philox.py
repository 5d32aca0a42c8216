"""NumPy's generator Philox as a stream of words of 32 bits, which a kernel may make in any order: block k of 8 words is
a function of the key and of counter + 1 + k alone. Philox-4x64 of 10 rounds: Salmon et al. 2011, Parallel random
numbers: as easy as 1, 2, 3.
"""

import numpy as np


def waiting(state):
    """The words that the generator has made and not given out: at most nine."""
    words = [int(state["uinteger"])] if state["has_uint32"] else []
    for value in state["buffer"][state["buffer_pos"] :]:
        words += [int(value) & 0xFFFFFFFF, int(value) >> 32]
    return words


def start(state):
    """The key and the counter, six numbers of 64 bits, as int64."""
    whole = np.concatenate([state["state"]["key"], state["state"]["counter"]])
    return [int(v) for v in whole.astype(np.uint64).view(np.int64)]


def advance(generator, state, words, n):
    """Leave the generator, in `state` with so many words waiting, where n more words would."""
    if n < words:  # few: draw them
        np.random.Generator(generator).random(n, np.float32)
        return
    whole = -(-(n - words) // 2)  # numbers of 64 bits
    state["has_uint32"], state["buffer_pos"] = 0, 4
    if whole:
        blocks = (whole - 1) // 4  # of which nothing is left
        counter = sum(int(v) << 64 * i for i, v in enumerate(state["state"]["counter"])) + blocks
        state["state"]["counter"] = np.array([counter >> 64 * i & 2**64 - 1 for i in range(4)], np.uint64)
    generator.state = state
    if whole:
        last = int(generator.random_raw(whole - 4 * blocks)[-1])
        state = generator.state
        state["has_uint32"], state["uinteger"] = (n - words) % 2, last >> 32
        generator.state = state
