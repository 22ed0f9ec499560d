"""Host folders of containers, held by the agent: Docker is given mounts of the agent's own, and no path that somebody
else may change. Each folder is found without following a link, and its inode is mounted where no container writes."""
