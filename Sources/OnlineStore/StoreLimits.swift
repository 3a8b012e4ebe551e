/// The bounds of what one call may do to Redis.
public enum StoreLimits {
  /// States of one commit. Redis does nothing else during a commit: at 0.5 us a state this is a pause of 33 ms at most. Far below the 1,048,576 arguments of one command.
  public static let commitStatesMax = 65_536
  /// Bytes of one commit's commands: Redis drops a client whose unread input passes 1 GiB.
  public static let commitBytesMax = 256 << 20
  /// Keys that one command reads. More keys are read by more commands, so that neither side holds all replies.
  public static let loadKeysPerCommand = 1_000
  /// Commits that are decided anew because something touched the task's keys in between. One is a rival that
  /// claims, and is then seen; more are a program that is not ours.
  public static let commitAttemptsMax = 3
  /// Nodes of a cluster that a step is sent on to. One hop is usual after a slot has moved, two during a failover.
  public static let redirectionsMax = 5
}
