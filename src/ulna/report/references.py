"""The papers that a run rests on, as a journal lists them and as BibTeX."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Reference:
    """A publication.

    Parameters
    ----------
    key
        By which it is cited; also that of its BibTeX entry.
    authors
        As journals write them: "Ronneberger O, Fischer P, Brox T".
    title
        Of the publication.
    where
        The journal, the proceedings or the place.
    year
        Of publication.
    pages
        Volume and pages, or the number of the article: "18:203–211"; "" where there are none.
    doi
        "" where there is none.
    kind
        Of BibTeX entry.
    """

    key: str
    authors: str
    title: str
    where: str
    year: int
    pages: str = ""
    doi: str = ""
    kind: str = "inproceedings"

    def __str__(self) -> str:
        """As journals list it."""
        place = f"{self.where} {self.pages}" if self.pages else self.where
        doi = f" doi:{self.doi}" if self.doi else ""
        return f"{self.authors}. {self.title}. {place} ({self.year}).{doi}"

    def bibtex(self) -> str:
        """As an entry of a BibTeX file.

        Returns
        -------
        str
            With the DOI where there is one.
        """
        place = {"article": "journal", "inproceedings": "booktitle"}.get(self.kind, "howpublished")
        volume, _, pages = self.pages.rpartition(":")
        names = [_bibtex_name(name) for name in self.authors.split(", ")]
        fields = {
            "author": " and ".join(names),
            "title": f"{{{self.title}}}",
            place: self.where,
            "volume": volume.strip(),
            "pages": pages.replace("–", "--"),
            "year": str(self.year),
            "doi": self.doi,
        }
        lines = [f"  {name} = {{{value}}}" for name, value in fields.items() if value]
        return f"@{self.kind}{{{self.key},\n" + ",\n".join(lines) + "\n}"


def _bibtex_name(name: str) -> str:
    """ "Maier-Hein KH" as "Maier-Hein, K. H."; the rest of many authors as "others"."""
    if name == "et al":
        return "others"
    if name.startswith("The "):  # a group, whose name has no initials
        return f"{{{name}}}"
    family, _, initials = name.rpartition(" ")
    return f"{family}, {' '.join(f'{letter}.' for letter in initials.replace('-', ''))}"


MICCAI = "Medical Image Computing and Computer-Assisted Intervention (MICCAI), Lecture Notes in Computer Science"
CVPR = "IEEE Conference on Computer Vision and Pattern Recognition (CVPR)"

REFERENCES = {
    one.key: one
    for one in (
        Reference(
            "ronneberger2015unet",
            "Ronneberger O, Fischer P, Brox T",
            "U-Net: Convolutional networks for biomedical image segmentation",
            MICCAI,
            2015,
            "9351:234–241",
            "10.1007/978-3-319-24574-4_28",
        ),
        Reference(
            "cicek2016unet3d",
            "Çiçek Ö, Abdulkadir A, Lienkamp SS, Brox T, Ronneberger O",
            "3D U-Net: Learning dense volumetric segmentation from sparse annotation",
            MICCAI,
            2016,
            "9901:424–432",
            "10.1007/978-3-319-46723-8_49",
        ),
        Reference(
            "long2015fcn",
            "Long J, Shelhamer E, Darrell T",
            "Fully convolutional networks for semantic segmentation",
            CVPR,
            2015,
            "3431–3440",
            "10.1109/CVPR.2015.7298965",
        ),
        Reference(
            "isensee2021nnunet",
            "Isensee F, Jaeger PF, Kohl SAA, Petersen J, Maier-Hein KH",
            "nnU-Net: a self-configuring method for deep learning-based biomedical image segmentation",
            "Nature Methods",
            2021,
            "18:203–211",
            "10.1038/s41592-020-01008-z",
            "article",
        ),
        Reference(
            "isensee2024revisited",
            "Isensee F, Wald T, Ulrich C, Baumgartner M, Roy S, Maier-Hein K, Jaeger PF",
            "nnU-Net revisited: A call for rigorous validation in 3D medical image segmentation",
            MICCAI,
            2024,
            "15009:488–498",
            "10.1007/978-3-031-72114-4_47",
        ),
        Reference(
            "isensee2021brats",
            "Isensee F, Jäger PF, Full PM, Vollmuth P, Maier-Hein KH",
            "nnU-Net for brain tumor segmentation",
            "Brainlesion (BrainLes 2020), Lecture Notes in Computer Science",
            2021,
            "12659:118–132",
            "10.1007/978-3-030-72087-2_11",
        ),
        Reference(
            "ulyanov2016instance",
            "Ulyanov D, Vedaldi A, Lempitsky V",
            "Instance normalization: The missing ingredient for fast stylization",
            "arXiv:1607.08022",
            2016,
            kind="misc",
        ),
        Reference(
            "ioffe2015batch",
            "Ioffe S, Szegedy C",
            "Batch normalization: Accelerating deep network training by reducing internal covariate shift",
            "International Conference on Machine Learning (ICML), PMLR",
            2015,
            "37:448–456",
        ),
        Reference(
            "he2015rectifiers",
            "He K, Zhang X, Ren S, Sun J",
            "Delving deep into rectifiers: Surpassing human-level performance on ImageNet classification",
            "IEEE International Conference on Computer Vision (ICCV)",
            2015,
            "1026–1034",
            "10.1109/ICCV.2015.123",
        ),
        Reference(
            "glorot2010difficulty",
            "Glorot X, Bengio Y",
            "Understanding the difficulty of training deep feedforward neural networks",
            "International Conference on Artificial Intelligence and Statistics (AISTATS), PMLR",
            2010,
            "9:249–256",
        ),
        Reference(
            "srivastava2014dropout",
            "Srivastava N, Hinton G, Krizhevsky A, Sutskever I, Salakhutdinov R",
            "Dropout: A simple way to prevent neural networks from overfitting",
            "Journal of Machine Learning Research",
            2014,
            "15:1929–1958",
            kind="article",
        ),
        Reference(
            "milletari2016vnet",
            "Milletari F, Navab N, Ahmadi S-A",
            "V-Net: Fully convolutional neural networks for volumetric medical image segmentation",
            "International Conference on 3D Vision (3DV)",
            2016,
            "565–571",
            "10.1109/3DV.2016.79",
        ),
        Reference(
            "jordan2024muon",
            "Jordan K, Jin Y, Boza V, You J, Cesista F, Newhouse L, Bernstein J",
            "Muon: An optimizer for hidden layers in neural networks",
            "kellerjordan.github.io/posts/muon",
            2024,
            kind="misc",
        ),
        Reference(
            "liu2025muon",
            "Liu J, Su J, Yao X, et al",
            "Muon is scalable for LLM training",
            "arXiv:2502.16982",
            2025,
            kind="misc",
        ),
        Reference(
            "loshchilov2019adamw",
            "Loshchilov I, Hutter F",
            "Decoupled weight decay regularization",
            "International Conference on Learning Representations (ICLR), arXiv:1711.05101",
            2019,
        ),
        Reference(
            "kingma2015adam",
            "Kingma DP, Ba J",
            "Adam: A method for stochastic optimization",
            "International Conference on Learning Representations (ICLR), arXiv:1412.6980",
            2015,
        ),
        Reference(
            "smith2019superconvergence",
            "Smith LN, Topin N",
            "Super-convergence: very fast training of neural networks using large learning rates",
            "Proceedings of SPIE",
            2019,
            "11006:1100612",
            "10.1117/12.2520589",
        ),
        Reference(
            "naylor2019distance",
            "Naylor P, Laé M, Reyal F, Walter T",
            "Segmentation of nuclei in histopathology images by deep regression of the distance map",
            "IEEE Transactions on Medical Imaging",
            2019,
            "38(2):448–459",
            "10.1109/TMI.2018.2865709",
            "article",
        ),
        Reference(
            "scherr2020distances",
            "Scherr T, Löffler K, Böhland M, Mikut R",
            "Cell segmentation and tracking using CNN-based distance predictions and a graph-based matching strategy",
            "PLoS ONE",
            2020,
            "15(12):e0243219",
            "10.1371/journal.pone.0243219",
            "article",
        ),
        Reference(
            "dice1945measures",
            "Dice LR",
            "Measures of the amount of ecologic association between species",
            "Ecology",
            1945,
            "26(3):297–302",
            "10.2307/1932409",
            "article",
        ),
        Reference(
            "kirillov2019panoptic",
            "Kirillov A, He K, Girshick R, Rother C, Dollár P",
            "Panoptic segmentation",
            CVPR,
            2019,
            "",
            "10.1109/CVPR.2019.00963",
        ),
        Reference(
            "nikolov2021surface",
            "Nikolov S, et al",
            "Clinically applicable segmentation of head and neck anatomy for radiotherapy: deep learning algorithm "
            "development and validation study",
            "Journal of Medical Internet Research",
            2021,
            "23(7):e26151",
            "10.2196/26151",
            "article",
        ),
        Reference(
            "arganda2015crowdsourcing",
            "Arganda-Carreras I, et al",
            "Crowdsourcing the creation of image segmentation algorithms for connectomics",
            "Frontiers in Neuroanatomy",
            2015,
            "9:142",
            "10.3389/fnana.2015.00142",
            "article",
        ),
        Reference(
            "field2007bootstrapping",
            "Field CA, Welsh AH",
            "Bootstrapping clustered data",
            "Journal of the Royal Statistical Society B",
            2007,
            "69(3):369–390",
            "10.1111/j.1467-9868.2007.00593.x",
            "article",
        ),
        Reference(
            "ansel2024pytorch",
            "Ansel J, et al",
            "PyTorch 2: Faster machine learning through dynamic Python bytecode transformation and graph compilation",
            "ACM International Conference on Architectural Support for Programming Languages and Operating Systems",
            2024,
            "2:929–947",
            "10.1145/3620665.3640366",
        ),
        Reference(
            "ulna2026",
            "The ulna developers",
            "ulna: the U-Net for biomedical images",
            "Computer program",
            2026,
            kind="software",
        ),
    )
}
"""All that may be cited, by key. A DOI stands where it was looked up; none is guessed."""
