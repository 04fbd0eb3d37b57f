"""How slow this machine is, as a factor on every time that the lab waits.

Under an emulated kernel (tests/vm/vmrun) Python takes 15 to 25 times as long: there the lab looks less often, or it
would be busy with looking, and waits longer before it gives up.
"""

from __future__ import annotations

import os

TIMESCALE = 10.0 if "VMRUN" in os.environ else 1.0
GIVE_UP_SECONDS = 60.0 * TIMESCALE  # after which a lab that is not all there reports what is
