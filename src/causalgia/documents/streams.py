"""Random numbers by name: one Philox stream a purpose, the subject as counter.

A draw added somewhere changes nothing elsewhere, and the first hundred subjects of a thousand are the hundred subjects
of a hundred.
"""

from __future__ import annotations

import hashlib

import numpy as np
from scipy.special import ndtri


def bit_generator(seed: int, *purpose: str | int) -> np.random.Philox:
    """The Philox stream of one seed and purpose; its 128-bit key is a hash of both."""
    text = "/".join(str(part) for part in (seed, *purpose))
    digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
    return np.random.Philox(key=np.frombuffer(digest, dtype="<u8"))


def generator(seed: int, *purpose: str | int) -> np.random.Generator:
    """A NumPy generator on the stream of one purpose, where the whole array is drawn at once."""
    return np.random.Generator(bit_generator(seed, *purpose))


def uniforms(seed: int, *purpose: str | int, size: int) -> np.ndarray:
    """Uniforms in (0, 1), shape (size,): element i depends on seed, purpose and i alone."""
    raw = bit_generator(seed, *purpose).random_raw(size)
    return ((raw >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52  # 52 bits: with 53 the largest rounds to 1


def normals(seed: int, *purpose: str | int, size: int) -> np.ndarray:
    """Standard normals, shape (size,), by inverse distribution function of `uniforms`."""
    return ndtri(uniforms(seed, *purpose, size=size))
