"""int8: quantised tensors, observers, layers and models; after training, or trained for it.

    quantize_dynamic(model)                                     linear layers, ranges from each input
    convert(calibrate(prepare(model), batches))                 and convolutions, ranges from data seen before
    model = prepare_qat(model); train(model); convert(model)    trained with the rounding
    print(compare(model, int8, batches))                        sizes, differences, accuracy

Weights are int8 with a scale for each output, activations uint8 with one scale and zero point; products are summed in
int32. Functions have PyTorch's names (torch.quantize_per_tensor, torch.ao.quantization).
"""

from .affine import QuantizedTensor as QuantizedTensor
from .affine import fake_quantize_per_channel_affine as fake_quantize_per_channel_affine
from .affine import fake_quantize_per_tensor_affine as fake_quantize_per_tensor_affine
from .affine import qparams as qparams
from .affine import quantize_per_channel as quantize_per_channel
from .affine import quantize_per_tensor as quantize_per_tensor
from .compare import Comparison as Comparison
from .compare import compare as compare
from .compare import size_of as size_of
from .convert import calibrate as calibrate
from .convert import convert as convert
from .convert import float_layers as float_layers
from .convert import fuse_modules as fuse_modules
from .convert import prepare as prepare
from .convert import prepare_qat as prepare_qat
from .convert import quantize_dynamic as quantize_dynamic
from .convert import quantized_like as quantized_like
from .layers import QuantizedConv1d as QuantizedConv1d
from .layers import QuantizedConv2d as QuantizedConv2d
from .layers import QuantizedLinear as QuantizedLinear
from .observer import FakeQuantize as FakeQuantize
from .observer import MinMaxObserver as MinMaxObserver
from .observer import MovingAverageMinMaxObserver as MovingAverageMinMaxObserver
from .observer import PercentileObserver as PercentileObserver
from .observer import PerChannelMinMaxObserver as PerChannelMinMaxObserver
