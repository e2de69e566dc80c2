"""How the second pocket base is made: trained to be taught. One command a stage; see README.md."""
