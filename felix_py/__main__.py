"""`python -m felix_py`: the agent's program."""

from __future__ import annotations

import gc
import os
import sys

from felix_py.startup.left_out import TLS, annotations_compiled_once, leave_out_plugins, openssls_hashes, without
from felix_py.startup.stand_ins import leave_out, small_pydantic

USAGE = 2


def main() -> int:
    """Run the agent; return the process's exit code: 0 after SIGTERM, 1 if it cannot go on, 2 for a bad setting.

    What is imported late is imported so that what is before it is in force.
    """
    gc.disable()  # until felix_py.gc_tuning: what is loaded is no garbage; looking for some took a twelfth of the time
    leave_out_plugins()
    leave_out()
    with annotations_compiled_once(), small_pydantic(), without(openssls_hashes()):
        from felix_py.configuration.settings import SettingsError, read_file, settings_from
    from datastore.url import has_namespaces

    try:
        file = read_file(os.environ.get("FELIX_CONFIG", ""))
        settings = settings_from(os.environ, file)
    except SettingsError as error:
        print(f"{error}; the agent does not start", file=sys.stderr)
        return USAGE
    # TLS is for an API server alone; asyncio only asks whether its interpreter has it.
    with annotations_compiled_once(), small_pydantic(), without(() if has_namespaces(settings.datastore) else TLS):
        from felix_py.process import run
    return run(settings, file)


if __name__ == "__main__":
    sys.exit(main())
