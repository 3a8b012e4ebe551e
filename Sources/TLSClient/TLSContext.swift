import COpenSSL
import Glibc

/// What all connections of some options could share. It is made for each anew, so that renewed files are seen.
struct TLSContext: ~Copyable {
  let raw: OpaquePointer

  init(_ options: TLSOptions) throws(TLSError) {
    guard let made = SSL_CTX_new(TLS_client_method()) else { throw TLSError(TLSStream.reason("TLS")) }
    do throws(TLSError) {
      SSL_CTX_set_verify(made, SSL_VERIFY_PEER, nil)
      guard plumb_tls_require_1_2(made) == 1 else { throw TLSError(TLSStream.reason("TLS 1.2")) }
      // Without this OpenSSL would ask at the terminal.
      SSL_CTX_set_default_passwd_cb(made) { _, _, _, _ in -1 }
      try Self.loadAuthorities(options, made)
      try Self.loadCertificate(options, made)
    } catch {
      SSL_CTX_free(made)
      throw error
    }
    raw = made
  }

  deinit { SSL_CTX_free(raw) }

  private static func loadAuthorities(_ options: TLSOptions, _ context: OpaquePointer) throws(TLSError) {
    guard let file = options.authorityFile else {
      guard SSL_CTX_set_default_verify_paths(context) == 1 else {
        throw TLSError(TLSStream.reason("the system's authorities can't be read"))
      }
      return
    }
    try checkReadable(file, "of the authorities")
    guard SSL_CTX_load_verify_file(context, file) == 1 else {
      throw TLSError(TLSStream.reason("\(file) holds no certificate in PEM"))
    }
  }

  private static func loadCertificate(_ options: TLSOptions, _ context: OpaquePointer) throws(TLSError) {
    guard let file = options.certificateFile else {
      if options.keyFile != nil { throw TLSError("there is a key but no certificate: give both") }
      return
    }
    try checkReadable(file, "of the certificate")
    guard SSL_CTX_use_certificate_chain_file(context, file) == 1 else {
      throw TLSError(TLSStream.reason("\(file) holds no certificate in PEM"))
    }
    let key = options.keyFile ?? file
    try checkReadable(key, "of the certificate's key")
    guard SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) == 1 else {
      throw TLSError(
        TLSStream.reason("\(key) holds no key in PEM without a passphrase that fits the certificate"))
    }
  }

  private static func checkReadable(_ file: String, _ what: String) throws(TLSError) {
    guard access(file, R_OK) == 0 else {
      throw TLSError("cannot read the file \(what), \(file): \(String(cString: strerror(errno)))")
    }
  }
}
