public import TLSClient

/// Where Redis is, and how to talk to it.
public struct RedisOptions: Hashable, Sendable, CustomStringConvertible {
  /// An address.
  public enum Endpoint: Hashable, Sendable, CustomStringConvertible {
    /// A host name or address, and a port.
    case tcp(host: String, port: Int32)
    /// The path of a Unix socket.
    case unix(path: String)
    /// The primary that some sentinels know by this name; they are asked with each connection.
    case sentinel([HostAndPort], primary: String)

    /// As in a URL.
    public var description: String {
      switch self {
      case .tcp(let host, let port): "redis://\(HostAndPort(host: host, port: port))"
      case .unix(let path): "unix://\(path)"
      case .sentinel(let sentinels, let primary):
        "redis+sentinel://\(sentinels.map(\.description).joined(separator: ","))/\(primary)"
      }
    }
  }

  /// A host name or address, and a port.
  public struct HostAndPort: Hashable, Sendable, CustomStringConvertible {
    /// The name or address.
    public var host: String
    /// The port.
    public var port: Int32

    /// Puts them together.
    public init(host: String, port: Int32) { (self.host, self.port) = (host, port) }

    /// `host:port`; an IPv6 address has brackets.
    public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
  }

  /// The address.
  public var endpoint: Endpoint
  /// The ACL user; nil is Redis' `default`.
  public var user: String?
  /// The password; nil: no authentication.
  public var password: Secret?
  /// The database's number. Redis Cluster has only 0.
  public var database: Int32 = 0
  /// How connections over TCP are protected, those to sentinels too; nil: not at all.
  public var tls: TLSOptions?
  /// The sentinels' own ACL user.
  public var sentinelUser: String?
  /// The sentinels' own password; nil: no authentication there.
  public var sentinelPassword: Secret?
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

  /// As a URL, without passwords.
  public var description: String {
    var credentials = user ?? ""
    if let password { credentials += ":\(password)" }
    if !credentials.isEmpty { credentials += "@" }
    let (scheme, rest) = Self.split(place(endpoint))
    let parameters = RedisURL.Parameter.all.compactMap { parameter in
      parameter.text(self).map { "\(parameter.name)=\($0)" }
    }
    var url = "\(scheme)\(credentials)\(rest)"
    if case .unix = endpoint {
      url += "?db=\(database)"
    } else {
      url += "/\(database)"
    }
    return parameters.isEmpty ? url : "\(url)?\(parameters.joined(separator: "&"))"
  }

  /// An address that these options lead to, for messages: with the scheme that says whether it is protected.
  func place(_ endpoint: Endpoint) -> String {
    let text = endpoint.description
    return tls != nil && text.hasPrefix("redis") ? "rediss" + text.dropFirst("redis".count) : text
  }

  private static func split(_ url: String) -> (scheme: Substring, rest: Substring) {
    guard let scheme = url.firstRange(of: "://") else { return ("", url[...]) }
    return (url[..<scheme.upperBound], url[scheme.upperBound...])
  }
}
