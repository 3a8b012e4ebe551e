/// Where Redis is, and how to talk to it.
public struct RedisOptions: Hashable, Sendable, CustomStringConvertible {
  /// An address.
  public enum Endpoint: Hashable, Sendable, CustomStringConvertible {
    /// A host name or address, and a port.
    case tcp(host: String, port: Int32)
    /// The path of a Unix socket.
    case unix(path: String)

    /// As in a URL.
    public var description: String {
      switch self {
      case .tcp(let host, let port):
        host.contains(":") ? "redis://[\(host)]:\(port)" : "redis://\(host):\(port)"
      case .unix(let path): "unix://\(path)"
      }
    }
  }

  /// The address.
  public var endpoint: Endpoint
  /// The ACL user; nil is Redis' `default`.
  public var user: String?
  /// The password; nil: no authentication.
  public var password: Secret?
  /// The database's number. Redis Cluster has only 0.
  public var database: Int32 = 0
  /// How long a connection may take to be made.
  public var connectTimeoutMilliseconds = 1_000
  /// How long a command may take. Longer than Redis may pause: for a large commit, or to fork.
  public var commandTimeoutMilliseconds = 5_000
  /// The wait after the first failed connection; it doubles with each further one.
  public var reconnectDelayMilliseconds: Int64 = 10
  /// The longest wait between connections.
  public var reconnectDelayMillisecondsMax: Int64 = 1_000

  /// Options with defaults.
  public init(_ endpoint: Endpoint) { self.endpoint = endpoint }

  /// As a URL, without the password.
  public var description: String {
    var credentials = user ?? ""
    if let password { credentials += ":\(password)" }
    if !credentials.isEmpty { credentials += "@" }
    switch endpoint {
    case .tcp:
      return "redis://\(credentials)\(endpoint.description.dropFirst("redis://".count))/\(database)"
    case .unix(let path): return "unix://\(credentials)\(path)?db=\(database)"
    }
  }
}

/// Why a text is no address of a Redis. It never repeats the text, which may hold a password.
public struct RedisURLError: Error, Hashable, Sendable, CustomStringConvertible {
  /// What is wrong, and what to write.
  public var message: String

  init(_ message: String) { self.message = message }

  /// The message.
  public var description: String { message }
}

extension RedisOptions {
  /// Reads `redis://user:password@host:port/db` or `unix://user:password@/path?db=0`; everything but the host or the
  /// path may be left out. Special characters of user and password are percent-encoded.
  public init(url: String) throws(RedisURLError) {
    guard let scheme = url.firstRange(of: "://") else {
      throw RedisURLError("there is no '://' in the address: write redis://host:port or unix:///path")
    }
    let rest = url[scheme.upperBound...]
    switch url[..<scheme.lowerBound] {
    case "redis": try self.init(tcp: rest)
    case "unix": try self.init(unix: rest)
    case "rediss":
      throw RedisURLError("TLS is not supported: run a tunnel (stunnel) beside, and connect to that")
    default: throw RedisURLError("the address begins with neither redis:// nor unix://")
    }
  }

  private init(tcp text: Substring) throws(RedisURLError) {
    let slash = text.firstIndex(of: "/") ?? text.endIndex
    let (credentials, address) = Self.splitCredentials(text[..<slash])
    var host = address
    var port: Int32 = 6379
    if let colon = Self.portColon(address) {
      guard let number = Int32(address[address.index(after: colon)...]), (1...65_535).contains(number) else {
        throw RedisURLError("the port is no number from 1 to 65535")
      }
      port = number
      host = address[..<colon]
    }
    if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
    guard !host.isEmpty else { throw RedisURLError("there is no host: write redis://host:port") }
    self.init(.tcp(host: String(host), port: port))
    try readCredentials(credentials)
    let path = text[slash...].dropFirst()
    if !path.isEmpty { database = try Self.database(path) }
  }

  private init(unix text: Substring) throws(RedisURLError) {
    let question = text.firstIndex(of: "?") ?? text.endIndex
    let (credentials, path) = Self.splitCredentials(text[..<question])
    guard path.hasPrefix("/") else { throw RedisURLError("the path is not absolute: write unix:///path") }
    self.init(.unix(path: String(path)))
    try readCredentials(credentials)
    let query = text[question...].dropFirst()
    guard !query.isEmpty else { return }
    guard query.hasPrefix("db=") else { throw RedisURLError("only ?db=number may follow the path") }
    database = try Self.database(query.dropFirst("db=".count))
  }

  private static func splitCredentials(_ text: Substring) -> (credentials: Substring?, rest: Substring) {
    guard let at = text.lastIndex(of: "@") else { return (nil, text) }
    return (text[..<at], text[text.index(after: at)...])
  }

  /// The colon before the port; those inside brackets belong to an IPv6 address.
  private static func portColon(_ address: Substring) -> Substring.Index? {
    guard let colon = address.lastIndex(of: ":") else { return nil }
    if let bracket = address.lastIndex(of: "]"), bracket > colon { return nil }
    return colon
  }

  private static func database(_ text: Substring) throws(RedisURLError) -> Int32 {
    guard let number = Int32(text), number >= 0 else {
      throw RedisURLError("the database is no number: write redis://host:port/0 or unix:///path?db=0")
    }
    return number
  }

  private mutating func readCredentials(_ text: Substring?) throws(RedisURLError) {
    guard let text else { return }
    let colon = text.firstIndex(of: ":") ?? text.endIndex
    let name = try Self.decoded(text[..<colon])
    user = name.isEmpty ? nil : name
    guard colon < text.endIndex else {
      throw RedisURLError("there is a user but no password: write user:password@, or :password@")
    }
    password = Secret(try Self.decoded(text[text.index(after: colon)...]))
  }

  private static func decoded(_ text: Substring) throws(RedisURLError) -> String {
    var bytes: [UInt8] = []
    var rest = Array(text.utf8)[...]
    while let byte = rest.popFirst() {
      guard byte == UInt8(ascii: "%") else {
        bytes.append(byte)
        continue
      }
      let digits = String(decoding: rest.prefix(2), as: UTF8.self)
      guard digits.utf8.count == 2, let value = UInt8(digits, radix: 16) else {
        throw RedisURLError("a '%' in user or password is not followed by two hexadecimal digits: write %25")
      }
      bytes.append(value)
      rest = rest.dropFirst(2)
    }
    guard let string = String(validating: bytes, as: UTF8.self) else {
      throw RedisURLError("user or password is not UTF-8")
    }
    return string
  }
}
