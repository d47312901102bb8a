"""The kernels of XNNPACK, the delegate that `tf.lite.Interpreter` applies unless told otherwise: profile "xnnpack".

`delegation` tells which operators it takes; the others run as in profile "optimized". Importing this package registers
the kernels. Source: XNNPACK at commit 25b42dfd, which tensorflow 2.21.0 is built with.
"""

import pkgutil
from importlib import import_module

for _module in pkgutil.iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
