"""The command `ratelab`: what is done before runs and after them."""
