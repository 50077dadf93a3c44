"""The rules, one file each; a folder is a family. A rule never imports another."""
