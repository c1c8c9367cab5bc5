"""Settings of the group `production` of the Python inventories in the folder above."""

gateway = {
    "version": "2026.9.6",
    "memory": "4g",
    "apt_packages": ["ffmpeg", "jq"],
}

# Read on this machine when the deploy runs; the secret itself never stands in an inventory.
credentials = {
    "OPENAI_API_KEY": {"env": "OPENAI_API_KEY"},
    "TELEGRAM_BOT_TOKEN": {"command": "pass show openclaw/telegram"},
}
