"""Print the list of parts (CycloneDX) of an image's file system: `python -m tests.release.image ROOT`."""

import json
import sys
import time
from pathlib import Path

from otp_service import __version__
from tests.release.parts import of_image

if __name__ == "__main__":
    sys.stdout.write(json.dumps(of_image(Path(sys.argv[1]), __version__, int(time.time())), indent=1) + "\n")
