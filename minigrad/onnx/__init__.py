"""Models as ONNX files, for runtimes that know neither Python nor minigrad.

    from minigrad import onnx
    onnx.export(model, x, "model.onnx", dynamic_batch=True)

A model is run once on arrays that note what is done to them (trace.py), every primitive noted becomes ONNX nodes
(elementwise.py, shaping.py, layers.py, recurrent.py), and numbers that follow a dynamic axis become formulas in its
length (lengths.py). Needs the extra ``onnx``; importing minigrad does not import it.
"""

from .export import export as export
