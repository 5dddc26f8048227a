"""Many runs: cut into stacks, trained by workers, recorded by the program that was started."""
