package org.sftnative.model;

import org.bytedeco.pytorch.StringViewOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.sftnative.tensor.Scopes;

/// The largest singular values of a matrix and their vectors: the nearest matrix of rank r is U diag(S) V. By subspace
/// iteration (arXiv 0909.4061, algorithm 4.4) until that matrix stands still: on one core 2,048 x 2,048 took 2.5 s so,
/// and 6.1 s as a whole.
///
/// @param u (out, r)
/// @param s (r), falling
/// @param v (r, in)
record SingularValues(Tensor u, Tensor s, Tensor v) {
    private static final int BETWEEN_LOOKS = 8;
    private static final int MOST_LOOKS = 50;
    private static final double STANDS_STILL = 1e-5; // of its norm; rounding alone moves it by 2e-6

    /// @param w (out, in) fp32
    /// @param start (out, k) anything of full rank: the more columns beyond r, the fewer iterations
    static SingularValues largest(Tensor w, int r, Tensor start) {
        Tensor basis = basis(start);
        SingularValues found = within(w, r, basis);
        for (int look = 0; look < MOST_LOOKS; look++) {
            for (int i = 0; i < BETWEEN_LOOKS; i++) {
                Tensor from = basis;
                basis = Scopes.yield(() -> basis(torch.mm(w, basis(torch.mm(w.t(), from)))));
            }
            Tensor before = found.product();
            found = within(w, r, basis);
            Tensor product = found.product();
            double moved = product.sub(before).norm().item_double();
            if (moved <= STANDS_STILL * product.norm().item_double()) {
                break;
            }
        }
        return found;
    }

    /// U diag(S) V.
    Tensor product() {
        return torch.mm(u.mul(s), v);
    }

    private static SingularValues within(Tensor w, int r, Tensor basis) {
        var svd = torch.linalg_svd(torch.mm(basis.t(), w), false, new StringViewOptional());
        Tensor u = torch.mm(basis, svd.get0().narrow(1, 0, r));
        return new SingularValues(u, svd.get1().narrow(0, 0, r), svd.get2().narrow(0, 0, r));
    }

    /// Orthonormal columns that span what the columns of x do.
    private static Tensor basis(Tensor x) {
        return torch.linalg_qr(x).get0().detach(); // get0 is a place in the tuple, and dies with it
    }
}
