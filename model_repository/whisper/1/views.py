"""CTranslate2's tensors as numpy's, and back: picked, joined, moved."""

from typing import Any

import ctranslate2
import numpy as np
from numpy.typing import NDArray


def view(array: NDArray[Any]) -> ctranslate2.StorageView:
    """On the CPU; CTranslate2 moves it where it is needed."""
    return ctranslate2.StorageView.from_array(np.ascontiguousarray(array))


def rows(encoded: ctranslate2.StorageView, indices: list[int]) -> ctranslate2.StorageView:
    """Those of a batch, in this order."""
    if len(indices) == encoded.shape[0]:
        return encoded
    return view(_array(encoded)[indices])


def joined(views: list[ctranslate2.StorageView]) -> ctranslate2.StorageView:
    """One batch of several."""
    return views[0] if len(views) == 1 else view(np.concatenate([_array(one) for one in views]))


def _array(encoded: ctranslate2.StorageView) -> NDArray[Any]:
    on_cpu = encoded.to_device(ctranslate2.Device.cpu) if encoded.device == "cuda" else encoded
    if on_cpu.dtype == ctranslate2.DataType.bfloat16:
        on_cpu = on_cpu.to(ctranslate2.DataType.float32)  # numpy has no such type; the decoder takes either
    return np.asarray(on_cpu)
