"""Which learning-rate schedule should I use, and is the difference real?"""
