"""Machine code from LLVM's assembly language, kept on disk: for functions that are generated, and only called.

Numba would first infer the types of each generated statement, and then optimise code that was generated without
waste: it takes fifty times as long. What is kept is found by the hash of its source, of LLVM and of the processor.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any, NamedTuple

from saem.system import cache, jit, special

__all__ = ["POINTER", "Machine", "machine_of"]

binding: Any = jit.llvm_binding
binding.initialize_native_target()
binding.initialize_native_asmprinter()
#: How a pointer to numbers is written.
POINTER = "ptr" if binding.llvm_version_info[0] >= 17 else "double*"


class Machine(NamedTuple):
    """A loaded function, for as long as it is kept."""

    address: int
    owner: Any


def machine_of(source: str, name: str) -> Machine:
    """Compile a module, or fetch it from the cache folder.

    Parameters
    ----------
    source : str
        In LLVM's assembly language. Functions of `saem.system.special` are declared in it as ``saem_polygamma`` etc.
    name : str
        Of its function.
    """
    for used in set(re.findall(r"call double @saem_(\w+)\(", source)):
        binding.add_symbol(f"saem_{used}", special.special_function(used).address)
    target = binding.Target.from_default_triple()
    processor, features = binding.get_host_cpu_name(), binding.get_host_cpu_features().flatten()
    machine = target.create_target_machine(processor, features, opt=2, codemodel="jitdefault", jit=True)
    key = "\n".join((source, repr(binding.llvm_version_info), machine.triple, processor, features))
    digest = hashlib.sha256(key.encode()).hexdigest()[:32]
    code = _kept(digest)
    if code is None:
        module = binding.parse_assembly(source)
        module.verify()
        code = machine.emit_object(module)
        _keep(digest, code)
    engine = binding.create_mcjit_compiler(binding.parse_assembly(""), machine)
    engine.add_object_file(binding.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return Machine(engine.get_function_address(name), engine)


def _kept(digest: str) -> bytes | None:
    """The code that was kept, after a hash of its content: what is damaged is as good as missing."""
    folder = cache.cache_folder()
    if folder is None:
        return None
    path = folder / "machine" / f"{digest}.o"
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        cache.complain(f"compiled code in {folder} cannot be read: {error.strerror or error}")
        return None
    seal, code = content[:32], content[32:]
    if hashlib.sha256(code).digest() != seal:
        cache.complain(f"the compiled code in {path} is damaged")
        return None
    return code


def _keep(digest: str, code: bytes) -> None:
    folder = cache.cache_folder()
    if folder is None:
        return
    try:
        cache.write_atomically(folder / "machine" / f"{digest}.o", hashlib.sha256(code).digest() + code)
    except OSError as error:
        cache.complain(f"compiled code cannot be kept in {folder}: {error.strerror or error}")
