"""stargan-rt as a package of jetson-containers: `jetson-containers build --package-dirs=$PWD/docker stargan-rt`.

jetson-containers executes this file with `package` and the version constants of the base image defined.
"""

from jetson_containers import CUDA_VERSION
from packaging.version import Version

package["name"] = "stargan-rt"  # noqa: F821
package["alias"] = "stargan_rt"  # noqa: F821
package["group"] = "ml"  # noqa: F821
package["depends"] = ["cuda", "cudnn", "tensorrt", "python", "opencv", "onnxruntime"]  # noqa: F821
package["requires"] = ">=36"  # noqa: F821
package["build_args"] = {"CUDA_EXTRA": "cuda13" if Version("13") <= CUDA_VERSION else "cuda12"}  # noqa: F821
package["test"] = "test.sh"  # noqa: F821
