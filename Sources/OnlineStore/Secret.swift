/// A password. Neither printing nor dumping shows it.
public struct Secret: Hashable, Sendable, CustomStringConvertible, CustomDebugStringConvertible,
  CustomReflectable
{
  let value: String

  /// Wraps a password.
  public init(_ value: String) { self.value = value }

  /// Asterisks.
  public var description: String { "***" }
  /// Asterisks.
  public var debugDescription: String { "***" }
  /// Nothing.
  public var customMirror: Mirror { Mirror(self, children: []) }

  /// A message without the password: a server that does not know AUTH repeats its arguments.
  func masked(in message: String) -> String {
    value.isEmpty ? message : message.replacing(value, with: "***")
  }
}
