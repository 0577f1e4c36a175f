from face_fixtures import astronaut, detector, detector_file, turned

__all__ = ["astronaut", "detector", "detector_file", "turned"]
