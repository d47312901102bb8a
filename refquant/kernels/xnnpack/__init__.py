"""The kernels of XNNPACK, the delegate that `tf.lite.Interpreter` applies unless told otherwise: profile "xnnpack".

`delegation` tells which operators it takes; the others run as in profile "optimized". Importing this package registers
the kernels. Source: XNNPACK at commit 25b42dfd, which tensorflow 2.21.0 is built with.

XNNPACK has kernels for many processors, and float32 results differ among them. These are the ones for x86-64 with
AVX-512F, and of all of them only SQRT and RSQRT depend on more than that (`profiles.INEXACT_IN_XNNPACK`). Kernels of
float32 are in the modules `float_…`; they run without subnormal numbers, as `refquant.numerics.flushed` tells.
"""

import pkgutil
from importlib import import_module

for _module in pkgutil.iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
