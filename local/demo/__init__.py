"""The demo: photos in, clean photos out, on a local stack that is brought up and taken down again."""
