#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

// What OpenSSL offers as macros, which Swift doesn't see.

static inline int plumb_tls_require_1_2(SSL_CTX *context) {
  return SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
}

static inline int plumb_tls_name_server(SSL *ssl, const char *name) {
  return (int)SSL_set_tlsext_host_name(ssl, name);
}

static inline void plumb_bio_clear_retry(BIO *bio) { BIO_clear_retry_flags(bio); }
static inline void plumb_bio_retry_read(BIO *bio) { BIO_set_retry_read(bio); }
static inline void plumb_bio_retry_write(BIO *bio) { BIO_set_retry_write(bio); }

static inline int plumb_bio_is_flush(int command) { return command == BIO_CTRL_FLUSH; }
