"""Names of the files and folders in an agent's folder."""

# The extracted policy.
EXTRACTED_FOLDER = "extracted"
VERIFICATION_FILE = "verification.json"

FILM_FOLDER = "film"
# In that folder.
FILM_FILE = "film.mp4"
PREVIEW_FILE = "film.webp"
# What the film shows, or the reason why there is none.
FILM_FACTS_FILE = "film.json"
