"""What `stargan-rt bench` measures. Private: the command line is the interface."""
