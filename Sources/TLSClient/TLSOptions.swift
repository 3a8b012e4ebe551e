/// Whom a TLS client believes, and who it is. All files are PEM, and are read with each connection.
public struct TLSOptions: Hashable, Sendable {
  /// The certificates of the authorities that are believed; nil: the system's.
  public var authorityFile: String?
  /// The client's certificate, its chain behind it; nil: none.
  public var certificateFile: String?
  /// The key of the client's certificate, without a passphrase; nil: it is in the certificate's file.
  public var keyFile: String?
  /// The name or address that the server's certificate has to be for; nil: the host that is connected to.
  public var serverName: String?

  /// The system's authorities, and no certificate of one's own.
  public init() {}
}

/// Why there is no protected connection, or none any more: what happened, and what to do.
public struct TLSError: Error, Sendable, CustomStringConvertible {
  /// The reason.
  public let description: String

  init(_ description: String) { self.description = description }
}
