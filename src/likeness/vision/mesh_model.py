"""The mean face of the 468-point mesh in three dimensions.

It was computed from meshes of 1,200 faces of lfw-dev: their mean shape (generalised Procrustes analysis, made
symmetric), turned so that the median pitch of faces with less than 12 degrees of yaw is zero. It is in units of the
distance between the eyes' centres, its origin between them: x to the picture's right, y down, z away from the camera.
"""

import numpy as np
from numpy.typing import NDArray

MESH_POINTS = 468

# fmt: off
#: Points that lips, lids and jaw hardly move, spread evenly over the face (farthest-point sampling): on the midline,
#: and in pairs.
_RIGID_MIDLINE = (
    1, 5, 9, 151, 164, 168, 195,
)
_RIGID_PAIRS = (
    (33, 263), (36, 266), (47, 277), (49, 279), (50, 280), (51, 281), (52, 282), (68, 298), (69, 299), (104, 333),
    (107, 336), (108, 337), (116, 345), (117, 346), (119, 348), (125, 354), (133, 362), (147, 376), (156, 383),
    (159, 386), (187, 411), (193, 417), (196, 419), (206, 426),
)

#: Where those points lie on the mean face; of a pair, the picture's left one.
_MEAN_MIDLINE = (
    (0.000, 0.628, -0.637), (0.000, 0.385, -0.633), (0.000, -0.317, -0.344), (0.000, -0.596, -0.301),
    (0.000, 0.798, -0.360), (0.000, -0.072, -0.313), (0.000, 0.270, -0.544),
)
_MEAN_LEFT = (
    (-0.720, -0.010, 0.043), (-0.488, 0.522, -0.170), (-0.290, 0.267, -0.192), (-0.313, 0.527, -0.353),
    (-0.782, 0.505, -0.046), (-0.087, 0.395, -0.602), (-0.611, -0.286, -0.208), (-0.879, -0.449, 0.068),
    (-0.494, -0.592, -0.206), (-0.722, -0.549, -0.078), (-0.226, -0.336, -0.332), (-0.263, -0.601, -0.278),
    (-1.018, 0.257, 0.245), (-0.841, 0.254, 0.050), (-0.527, 0.276, -0.087), (-0.049, 0.677, -0.579),
    (-0.280, 0.010, -0.043), (-0.997, 0.684, 0.260), (-0.962, -0.103, 0.174), (-0.525, -0.077, -0.085),
    (-0.864, 0.735, 0.067), (-0.122, -0.056, -0.244), (-0.088, 0.185, -0.436), (-0.511, 0.760, -0.141),
)
# fmt: on

#: Indices of the points that pose is fitted to, (55,), and their places on the mean face, (55, 3).
RIGID: NDArray[np.intp] = np.array(
    [*_RIGID_MIDLINE, *(left for left, _ in _RIGID_PAIRS), *(right for _, right in _RIGID_PAIRS)], dtype=np.intp
)
MEAN_RIGID: NDArray[np.float64] = np.array(
    [*_MEAN_MIDLINE, *_MEAN_LEFT, *((-x, y, z) for x, y, z in _MEAN_LEFT)], dtype=np.float64
)

#: The five landmarks on the mean face: left eye, right eye, nose, left mouth corner, right mouth corner, (5, 3).
MEAN_FIVE: NDArray[np.float64] = np.array(
    [[-0.5, 0.0, 0.0], [0.5, 0.0, 0.0], [0.0, 0.593, -0.648], [-0.435, 1.065, -0.037], [0.435, 1.065, -0.037]],
    dtype=np.float64,
)
