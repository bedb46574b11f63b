"""A serial kernel that is compiled once and called by its address, where numba would compile it again for each caller.

When one compiled function calls another, numba hands LLVM the code of both: the second is optimized and translated
anew with every caller, and three times over with a parallel loop (for the loop's body, for what a thread enters, for
the function around it). That is good for a few lines, which become part of the caller, and a waste for a loop that
runs for microseconds. Until the first training step of `mnist_cnn` with nothing in the cache, seconds:

    every kernel linked into its callers        25.6
    every thread's work a subroutine            16.9

A caller only *declares* a subroutine, by a name that holds its module and the types of its arguments. `llvm.add_symbol`
tells the linker which address the name stands for. A caller that comes from numba's cache needs the address as well:
it carries a list of what to do before it is loaded (numba's ``reload_init``), to which each call adds a line.

A call costs some nanoseconds, for the fields of its arrays go by way of the stack. Other kernels tell its arguments
apart by their places only, and none has a default.
"""

import functools
import inspect
from pathlib import Path

import llvmlite.binding as llvm
from numba import types
from numba.core import cgutils
from numba.extending import lower_builtin, type_callable

from minigrad.kernels._jit import kernel, ordered_kernel

_known = {}  # subroutines by their names


def ordered_subroutine(function):
    """A subroutine whose sums are taken as they are written (`ordered_kernel`)."""
    return subroutine(function, ordered_kernel)


def subroutine(function, compile_=kernel):
    """Compile a serial function of arrays and numbers; other kernels call its machine code.

    The compiled function itself (its ``signatures``, its ``stats``) is the attribute ``compiled`` of what is returned.
    """
    compiled = compile_(function)
    if compiled is function:  # numba is switched off
        return function

    @functools.wraps(function)
    def called_from_python(*arguments):
        return compiled(*arguments)

    called_from_python.compiled, called_from_python.name = compiled, _name(function)
    _known[called_from_python.name] = called_from_python
    _teach_numba(called_from_python)
    return called_from_python


def _teach_numba(function):
    """Tell numba of which type a call is, and how to write one."""

    @type_callable(function)
    def typing(context):
        def result(*kinds):
            return _publish(function, tuple(types.unliteral(kind) for kind in kinds)).signature

        result.__signature__ = inspect.signature(function)
        return result

    @lower_builtin(function, types.VarArg(types.Any))
    def call(context, at, signature, arguments):
        kinds, convention = signature.args, context.call_conv
        known = _publish(function, kinds).fndesc
        declared = cgutils.get_or_insert_function(
            at.module, convention.get_function_type(known.restype, known.argtypes), _symbol(function, kinds))
        status, result = convention.call_function(at, declared, known.restype, known.argtypes, arguments)
        with cgutils.if_unlikely(at, status.is_error):
            convention.return_status_propagate(at, status)
        context.active_code_library._reload_init.add(functools.partial(_publish_again, function.name, kinds))
        return result


def _publish(function, kinds):
    """Compile a subroutine for arguments of these types, or load it, and enter its address in the linker's table."""
    function.compiled.compile(kinds)
    result = function.compiled.overloads[kinds]
    address = result.library.get_pointer_to_function(result.fndesc.llvm_func_name)
    llvm.add_symbol(_symbol(function, kinds), address)
    return result


def _publish_again(name, kinds):
    _publish(_known[name], kinds)


def _symbol(function, kinds):
    return f"{function.name}{kinds}"


def _name(function):
    """The same whether its file was imported or is run as a script: the cache is for both."""
    module = function.__module__
    return f"{Path(function.__code__.co_filename).stem if module == '__main__' else module}.{function.__name__}"
